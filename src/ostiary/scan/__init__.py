"""Looking at live servers: `introspect` asks one what tools it has, by means of `talk`."""
