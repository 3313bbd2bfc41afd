"""Runs as plain files: exported, and imported again into this server or another.

<folder>/manifest.json                  what is in it; SHA-256 of every other file
        /runs/<id>/run.json             the experiment, its artifacts, its checkpoints
                  /events.jsonl         an event a line
                  /points.jsonl         a few thousand points of one series a line
                  /points.parquet       in its place, with `parquet`: key, kind, step, wall_time, value, string
        /blobs/<sha256>                 the bytes of files, once each
"""
