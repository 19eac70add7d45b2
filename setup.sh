#!/bin/sh
# Sets bmff up on a host: the program in a virtual environment, then nodes, one after the other.
# All that has to do with nodes is done by "bmffctl instance"; this is its front.
set -eu

usage() {
    cat <<'END'
Usage: sh setup.sh [--prefix FOLDER] [--python PROGRAM] [--dry-run] [COMMAND]

  install                   the program, or its new version (also when there is no COMMAND)
  add [options] NUMBER      a node of this host: its file, its unit, its row in the registry
  remove [options] NUMBER   take one away
  list                      the nodes of this host

add, remove and list install the program first when it is not there.
Their options: sh setup.sh add --help

  --prefix FOLDER    have everything below FOLDER, to look at it first; no root is needed then
  --python PROGRAM   Python 3.11 or later; python3 when not said
  --dry-run          say what would be done, and do nothing
END
}

fail() {
    printf 'setup.sh: %s\n' "$1" >&2
    exit 1
}

wrong() {
    printf 'setup.sh: %s; --help says more\n' "$1" >&2
    exit 2
}

# Says a command and runs it; with --dry-run only says it.
run() {
    if [ -n "$dry" ]; then
        printf 'would run %s\n' "$*"
    else
        printf 'run %s\n' "$*"
        "$@"
    fi
}

prefix=/ python=python3 dry=
while [ $# -gt 0 ]; do
    case $1 in
        --prefix | --python)
            [ $# -ge 2 ] || wrong "$1 takes a value"
            if [ "$1" = --prefix ]; then prefix=$2; else python=$2; fi
            shift 2
            ;;
        --prefix=*) prefix=${1#*=} && shift ;;
        --python=*) python=${1#*=} && shift ;;
        --dry-run) dry=yes && shift ;;
        -h | --help) usage && exit 0 ;;
        -*) wrong "unknown option $1" ;;
        *) break ;;
    esac
done
command=install
[ $# -eq 0 ] || { command=$1 && shift; }
case $command in
    install) [ $# -eq 0 ] || wrong "install takes nothing" ;;
    add | remove | list) ;;
    *) wrong "unknown command $command" ;;
esac

case $prefix in
    /*) ;;
    "") wrong "--prefix takes a folder" ;;
    *) prefix=$PWD/$prefix ;;
esac
source=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
below=${prefix%/}
home=$below/opt/BrandMeister
venv=$home/venv

install() {
    command -v "$python" >/dev/null || fail "there is no $python; name one with --python"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$python is older than Python 3.11; name another one with --python"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python has no venv; on Debian and Ubuntu: apt install python3-venv"
    [ -n "$below" ] || [ "$(id -u)" -eq 0 ] || [ -n "$dry" ] ||
        fail "run this as root, or with --prefix FOLDER to look at the outcome first"
    if [ -z "$below" ] && ! id bmff >/dev/null 2>&1; then
        run useradd --system --home-dir /var/lib/bmff --shell /usr/sbin/nologin bmff
    fi
    [ -x "$venv/bin/python" ] || run "$python" -m venv "$venv"
    # From a copy: pip leaves a folder "build", whose old files would be installed the next time.
    copy=$source
    if [ -z "$dry" ]; then
        copy=$(mktemp -d)
        trap 'rm -rf "$copy"' EXIT
        for name in LICENSE README.md pyproject.toml setup.cfg bmff twisted; do
            cp -R "$source/$name" "$copy/"
        done
    fi
    run "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$copy"
    [ -n "$dry" ] || rm -rf "$copy"
    # Twisted writes down what plugins there are, which the nodes' user may not.
    run "$venv/bin/twistd" --help >/dev/null
}

if [ "$command" = install ] || [ ! -x "$venv/bin/bmffctl" ]; then
    install
fi
[ "$command" != install ] || exit 0
set -- "$venv/bin/bmffctl" instance "$command" --prefix "$prefix" "$@"
if [ -z "$dry" ]; then
    exec "$@"
elif [ ! -x "$venv/bin/bmffctl" ] || [ "$command" = list ]; then
    run "$@"
else
    exec "$@" --dry-run
fi
