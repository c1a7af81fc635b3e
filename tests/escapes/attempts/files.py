"""At files of the host, and at rights that programs there have."""

from __future__ import annotations

from tests.escapes.attempt import Attempt

ATTEMPTS = (
    Attempt(
        name="read a file of the host",
        category="files",
        code="print(open(host['file']).read())",
        sign="secret file",
    ),
    Attempt(
        name="read the users of the host",
        category="files",
        code="if 'root:x:0:' in open('/etc/passwd').read(): print(prize)",
    ),
    Attempt(
        name="list the folder that packages and roots are kept in",
        category="files",
        code="attempt(os.listdir, host['cache']) and print(prize)",
    ),
    Attempt(
        name="write into a folder of the host that anybody may write to",
        category="files",
        code="open(host['open'] + '/left', 'w').write(prize)",
        sign="written",
    ),
    Attempt(
        name="change a file of the host that anybody may change",
        category="files",
        code="""
with open(host['shared'], 'r+') as file:
    told = file.read()
    file.seek(0)
    file.write(told)
print(prize)
""",
    ),
    Attempt(
        name="read a file of the host by a symbolic link",
        category="links",
        code="os.symlink(host['file'], 'link')\nprint(open('link').read())",
        sign="secret file",
    ),
    Attempt(
        name="read a file of the host by a hard link",
        category="links",
        code="os.link(host['shared'], 'link')\nprint(open('link').read())",
        sign="secret shared file",
    ),
    Attempt(
        name="leave a hard link to a file of the host as an artifact",
        category="artifacts",
        code="os.link(host['shared'], 'out/link')",
        sign="secret shared file",
    ),
    Attempt(
        name="move a file of the host in among the artifacts",
        category="artifacts",
        code="""
with open(host['open'] + '/taken', 'w') as file:
    file.write(prize)
os.rename(host['open'] + '/taken', 'out/taken')
""",
    ),
    Attempt(
        name="climb out of the working folder, one `..` after the other",
        category="files",
        code="""
here = os.open('.', os.O_RDONLY)
for _ in range(64):
    here = os.open('..', os.O_RDONLY, dir_fd=here)
found = os.open(host['file'].lstrip('/'), os.O_RDONLY, dir_fd=here)
print(os.read(found, 99).decode())
""",
        sign="secret file",
    ),
    Attempt(
        name="look for the file system of the host at the root of every process",
        category="proc",
        code="""
for pid in victims():
    attempt(lambda: print(open(f'/proc/{pid}/root' + host['file']).read()))
""",
        sign="secret file",
    ),
    Attempt(
        name="start a program of the host",
        category="files",
        code="print(subprocess.run(['/bin/cat', host['file']], capture_output=True, text=True).stdout)",
        sign="secret file",
    ),
    Attempt(
        name="read what only root may, by a program that runs as root whoever starts it",
        category="escalation",
        code="print(subprocess.run([host['program'], host['roots']], capture_output=True, text=True).stdout)",
        sign="secret root's file",
    ),
    Attempt(
        name="keep the right to become somebody else by starting a program",
        category="escalation",
        code="if 'NoNewPrivs:\\t0' in open('/proc/self/status').read(): print(prize)",
    ),
    Attempt(
        name="find a capability that a program could still gain",
        category="escalation",
        code="""
for line in open('/proc/self/status'):
    name, _, bits = line.partition(':')
    if name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb') and int(bits, 16):
        print(prize)
""",
    ),
)
