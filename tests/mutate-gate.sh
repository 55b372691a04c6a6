#!/bin/sh
# Removes each check of the gate in turn and expects the tests to fail. A check is marked in the source
# of core/consent by a line `// gate-check: <name>` before its `if` or before the call of `live.run`.
# One build holds all mutants; an environment variable chooses which check is off.
#
#   tests/mutate-gate.sh            all checks
#   tests/mutate-gate.sh owner once only these
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
work=$target/mutate-gate
export CARGO_TARGET_DIR="$target" CARGO_NET_OFFLINE="${CARGO_NET_OFFLINE:-true}"

rm -rf "$work"
mkdir -p "$work/core"
for crate in model statement store consent; do
    cp -R "$root/core/$crate" "$work/core/"
done
cp "$root/Cargo.lock" "$work/"
sed 's|^members = .*|members = ["core/model", "core/statement", "core/store", "core/consent"]|' "$root/Cargo.toml" >"$work/Cargo.toml"

cat >>"$work/core/consent/src/lib.rs" <<'RUST'

/// True when this check is taken out.
pub(crate) fn mutant(check: &str) -> bool {
    static OFF: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    OFF.get_or_init(|| std::env::var("ACCORD_MUTANT").unwrap_or_default()) == check
}
RUST
cat >>"$work/core/consent/src/rules.rs" <<'RUST'

impl Live {
    pub fn run_unless_mutant<R>(&self, check: &str, act: impl FnOnce() -> R) -> Option<R> {
        if crate::mutant(check) { Some(act()) } else { self.run(act) }
    }
}
RUST

checks=$(grep -rhoE '// gate-check: [a-z-]+' "$work/core/consent/src" | sed 's/.*: //' | sort)
doubled=$(echo "$checks" | uniq -d)
[ -z "$doubled" ] || { echo "checks with the same name: $doubled" >&2; exit 2; }

find "$work/core/consent/src" -name '*.rs' | while read -r file; do
    awk '
        /^ *\/\/ gate-check: / { name = $3; print; next }
        name != "" && /^ *if / { sub(/if /, "if !crate::mutant(\"" name "\") \\&\\& "); name = "" }
        name != "" && /live\.run\(/ { sub(/live\.run\(/, "live.run_unless_mutant(\"" name "\", "); name = "" }
        name != "" { print "a check that this script cannot remove: " name > "/dev/stderr"; exit 2 }
        { print }
    ' "$file" >"$file.new"
    mv "$file.new" "$file"
done
for check in $checks; do
    grep -rqE "mutant\(\"$check\"" "$work/core/consent/src" || { echo "$check was not made removable" >&2; exit 2; }
done

cd "$work"
programs=$(cargo test -q -p accord-consent --lib --test gate --no-run --message-format json |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | sort -u)
[ "$(echo "$programs" | wc -l)" -eq 2 ] || { echo "expected two test programs, found: $programs" >&2; exit 2; }

run() {
    for program in $programs; do
        (cd core/consent && ACCORD_MUTANT=$1 timeout 120 "$program" -q >"$work/last.log" 2>&1) || return 1
    done
}

run none || { echo "the tests fail with every check in place:" >&2; cat "$work/last.log" >&2; exit 1; }
survived=0
for check in ${*:-$checks}; do
    if run "$check"; then
        echo "SURVIVED  $check: no test fails without it"
        survived=$((survived + 1))
    else
        echo "caught    $check"
    fi
done
cd "$root"
rm -rf "$work"
[ "$survived" -eq 0 ] || { echo "$survived checks can be removed unnoticed" >&2; exit 1; }
echo "every check is missed when it is gone"
