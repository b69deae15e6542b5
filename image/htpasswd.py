#!/opt/holdfast/bin/python3 -P
"""Apache's htpasswd, for `docker run --entrypoint htpasswd IMAGE -Bbn user password`."""

from holdfast.cli.htpasswd import htpasswd

if __name__ == "__main__":
    htpasswd(prog_name="htpasswd")
