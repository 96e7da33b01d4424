#!/bin/sh
# Sets the frequency governor of every processor. Run as root; lasts until the next boot. Says each change and, at the
# end, one command for each governor that there was to undo it; `uproar tune apply` and `revert` do the same and remember.
#
#     tuning/governor.sh [--dry-run] [GOVERNOR]        GOVERNOR: performance unless given
#
# Machines without frequency scaling (most virtual ones) have nothing to set: that is said, and is no failure.
set -u

dry_run=
governor=performance
for argument in "$@"; do
    case $argument in
    --dry-run) dry_run=yes ;;
    -*)
        printf 'usage: %s [--dry-run] [GOVERNOR]\n' "$0" >&2
        exit 2
        ;;
    *) governor=$argument ;;
    esac
done

failures=0
before=''
seen=0
for file in /sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor; do
    [ -e "$file" ] || continue
    seen=$((seen + 1))
    old=$(cat "$file")
    [ "$old" = "$governor" ] && continue
    offered=$(cat "${file%/*}/scaling_available_governors" 2>/dev/null)
    case " ${offered:-$governor} " in
    *" $governor "*) ;;
    *)
        printf '%s: the driver offers only: %s\n' "$file" "$offered" >&2
        failures=1
        continue
        ;;
    esac
    printf '%s: %s -> %s\n' "$file" "$old" "$governor"
    before="$before$old $file
"
    if [ -z "$dry_run" ]; then
        printf '%s\n' "$governor" >"$file" || failures=1
    fi
done

if [ "$seen" = 0 ]; then
    echo "no processor scales its frequency: nothing to set"
elif [ -z "$before" ]; then
    printf 'every processor is as asked\n'
else
    printf '%s' "$before" | sort -u | awk '
        $1 != governor && NR > 1 { print "undo: echo " governor " | tee" files; files = "" }
        { governor = $1; files = files " " $2 }
        END { print "undo: echo " governor " | tee" files }'
fi
exit "$failures"
