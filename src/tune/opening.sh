umask 077
boot=$(cat "$root/proc/sys/kernel/random/boot_id" 2>/dev/null)
directory=$(dirname "$state")

# mine FILE TYPE: it is of this type, and nobody else can have written it; a link is neither f nor d.
mine() {
    [ -n "$(find "$1" -prune -type "$2" -user "$(id -u)" ! -perm -020 ! -perm -002)" ]
}

mkdir -p "$directory" || exit 1
if ! mine "$directory" d; then
    printf '%s: not a directory of yours that only you can write: nothing is changed\n' "$directory" >&2
    exit 1
fi
if { [ -e "$state" ] || [ -L "$state" ]; } && ! mine "$state" f; then
    printf '%s: not a file of yours that only you can write: nothing is changed\n' "$state" >&2
    exit 1
fi
if [ "$(head -n 1 "$state" 2>/dev/null)" != "# boot $boot" ]; then
    rm -f "$state"
    # With noclobber a file is made, and none that is there is written.
    (set -C && printf '# boot %s\n' "$boot" >"$state") || exit 1
fi

# meant FILE VALUE: the value as it is compared, since the kernel writes lists and masks of processors in its own way.
meant() {
    case $1 in
    */smp_affinity_list)
        printf '%s\n' "$2" | tr ',' '\n' | awk -F- 'NF { for (cpu = $1; cpu <= $NF; cpu++) print cpu + 0 }' | sort -nu
        ;;
    */rps_cpus | */xps_cpus) printf '%s\n' "$2" | tr -d ',' | tr 'A-F' 'a-f' | sed 's/^0*//' ;;
    *) printf '%s\n' "$2" | awk '{ $1 = $1; print }' ;;
    esac
}

# put FILE VALUE: saves what is in the file, unless an older value is saved, and writes the value.
put() {
    old=$(cat "$root$1") || { failures=1; return; }
    wanted=$(meant "$1" "$2")
    if [ "$(meant "$1" "$old")" = "$wanted" ]; then
        return
    fi
    if ! sed 's/ = .*//' "$state" | grep -qxF -- "$1"; then
        printf '%s = %s\n' "$1" "$old" >>"$state" || { failures=1; return; }
    fi
    if ! printf '%s\n' "$2" >"$root$1"; then
        printf '%s: cannot be set to %s\n' "$1" "$2" >&2
        failures=1
        return
    fi
    new=$(cat "$root$1")
    if [ "$(meant "$1" "$new")" = "$wanted" ]; then
        printf '%s: %s -> %s\n' "$1" "$old" "$new"
    else
        printf '%s: the kernel made %s of %s\n' "$1" "$new" "$2" >&2
        failures=1
    fi
}
