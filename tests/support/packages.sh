# Sourced by ./test: makes sure that the programs that the tests drive are there. As root, or with CI=true, missing ones are installed;
# anybody else is told the command. Programs are looked for, not packages: Docker's own packages are as good as Debian's.

# Prints the Debian packages of the missing programs, one on a line.
missing_packages() {
    # Debian keeps PostgreSQL's programs out of PATH, those of each version apart.
    servers=$(printf '%s:' /usr/lib/postgresql/*/bin)
    while read -r program package; do
        found=$(PATH=$PATH:/usr/sbin:/sbin:$servers command -v "$program") || found=
        # Images are made from scratch, with nothing but this program: it must not need libraries.
        if [ "$program" = busybox ] && ldd "$found" >/dev/null 2>&1; then
            found=
        fi
        [ -n "$found" ] || printf '%s\n' "$package"
    done <<END
bindfs bindfs
buildah buildah
busybox busybox-static
caddy caddy
curl curl
docker docker.io
docker-compose docker-compose
docker-registry docker-registry
dockerd docker.io
htpasswd apache2-utils
initdb postgresql
ip iproute2
iptables iptables
mkfs.ext4 e2fsprogs
mmdebstrap mmdebstrap
nginx nginx
openssl openssl
pgbouncer pgbouncer
podman podman
skopeo skopeo
strace strace
systemd-analyze systemd
systemd-nspawn systemd-container
END
    # On the machine with systemd the system's own Python makes the virtual environment.
    /usr/bin/python3 -c 'import ensurepip' 2>/dev/null || printf '%s\n' python3-venv
}

install_packages() {
    $sudo env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
        apt-get -qq -o Dpkg::Use-Pty=0 --no-install-recommends --yes install "$@" </dev/null >&2
}

missing=$(missing_packages | sort -u | tr '\n' ' ')
if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ]; then
        sudo=
    elif [ "${CI:-}" = true ] && command -v sudo >/dev/null; then
        sudo="sudo -n"
    else
        echo "test: programs are missing; run: sudo apt-get update && sudo apt-get install --no-install-recommends $missing" >&2
        exit 1
    fi
    echo "test: installing $missing" >&2
    $sudo apt-get -qq update </dev/null >&2
    # shellcheck disable=SC2086 # a list of words
    install_packages $missing
    # Since Debian 13 docker.io is the daemon alone.
    command -v docker >/dev/null || install_packages docker-cli
    # Debian starts their services, which would hold ports 80, 5000, 5432 and 6432; the tests start the programs themselves.
    for service in caddy docker-registry nginx pgbouncer postgresql; do
        case $missing in
        *$service*)
            if [ -d /run/systemd/system ]; then
                $sudo systemctl disable --now "$service" </dev/null >&2
            elif [ "$service" = pgbouncer ] || [ "$service" = postgresql ]; then
                $sudo service "$service" stop </dev/null >&2 || true
            fi
            ;;
        esac
    done
fi
