"""What a training has said and no server has confirmed yet: files that are only ever appended to.

No database file: those need locks that network file systems do not keep. One process writes a folder, one at a time
reads it; a frame that was torn by a kill, or by a full disk, is told from a whole one by its checksum.

    <folder>/<run>/<writer>/about.json    which server, run and writer
                           /00000001.frames ...
                           /files/        copies of files that are still to be sent
                           /progress.json how far the sender has come
                           /status.json   what it says about itself
                           /lease         who sends now
"""
