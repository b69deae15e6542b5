"""All SQL, as functions on a `Connection`: the same text for every database where they agree.

Times are whole milliseconds since 1970. A repository is named by its name; digests of blobs are sha256.
"""
