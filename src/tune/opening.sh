boot=$(cat "$root/proc/sys/kernel/random/boot_id" 2>/dev/null)
mkdir -p "$(dirname "$state")" || exit 1
if [ "$(head -n 1 "$state" 2>/dev/null)" != "# boot $boot" ]; then
    printf '# boot %s\n' "$boot" >"$state" || exit 1
fi

# put FILE VALUE: saves what is in the file, unless an older value is saved, and writes the value.
put() {
    old=$(cat "$root$1") || { failures=1; return; }
    if [ "$(printf '%s' "$old" | tr -s '\t ' ' ')" = "$2" ]; then
        return
    fi
    if ! grep -q "^$1 = " "$state"; then
        printf '%s = %s\n' "$1" "$old" >>"$state" || { failures=1; return; }
    fi
    if printf '%s\n' "$2" >"$root$1"; then
        printf '%s: %s -> %s\n' "$1" "$old" "$2"
    else
        printf '%s: cannot be set to %s\n' "$1" "$2" >&2
        failures=1
    fi
}
