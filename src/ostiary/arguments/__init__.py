"""What the text of an argument means, pure: no look-ups, no file system, no network.

Map: `fault` the one error; `text` checks shared by all readers; `path` file system paths;
`url` URLs, schemes and hosts; `address` IP addresses and networks.

Every reader returns a normalised value or raises `ArgumentError`; none guesses.
"""
