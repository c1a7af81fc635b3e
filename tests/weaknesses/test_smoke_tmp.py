from tests.weaknesses.world import *
def test_x(tmp_path):
    async def main():
        async with world(deny_but("echo"), tmp_path/"s", tools=["echo","danger"]) as w:
            r = await w.call("echo", text="x"); print(r)
            print(await w.call("danger"))
            print(await w.listed(), await w.kinds(), w.upstream.messages)
            assert r.json["result"]
    within(main)
