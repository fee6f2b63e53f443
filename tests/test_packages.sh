#!/bin/sh
# What demo and test say and do about Debian packages that are missing, with stand-ins for the compiler that
# finds no header, apt-get, sudo and id. And that other targets look for none.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() {
	echo "FAILED: $*"
	[ ! -f "$dir/said" ] || cat "$dir/said"
	exit 1
}

stand_in() { # stand_in NAME, its text on standard input
	{ echo '#!/bin/sh' && cat; } >"$dir/bin/$1"
	chmod +x "$dir/bin/$1"
}

mkdir "$dir/bin"
stand_in finds-no-header <<-'END'
	exit 1
END
stand_in apt-get <<-END
	echo "apt-get \$*" >>"$dir/asked"
END
stand_in sudo <<-END
	echo "sudo \$*" >>"$dir/asked"
END

# packages PURPOSE, as this user id; what it says is in said, what it runs in asked
packages() {
	stand_in id <<-END
		echo ${user-0}
	END
	: >"$dir/asked"
	env PATH="$dir/bin:$PATH" CC=finds-no-header NO_INSTALL="${no_install-}" \
		"$TOP/internal/tools/packages" "$1" >"$dir/said" 2>&1
}

line='apt-get update && apt-get install -y --no-install-recommends libev-dev libsqlite3-dev'
packages demo || fail 'what could be installed is a failure'
grep -qF "  $line" "$dir/said" || fail 'the line that installs is not said'
printf 'apt-get update\napt-get install -y --no-install-recommends libev-dev libsqlite3-dev\n' |
	cmp -s - "$dir/asked" || fail "it is not run: $(cat "$dir/asked")"

! no_install=1 packages demo || fail 'what is missing and not installed is a success'
grep -qF "  $line" "$dir/said" || fail 'the line is not said where it is not run'
[ ! -s "$dir/asked" ] || fail "NO_INSTALL=1 runs $(cat "$dir/asked")"

user=1000 packages demo || fail 'with sudo it is a failure'
grep -qF '  sudo apt-get update && sudo apt-get install' "$dir/said" || fail 'sudo is not said'
grep -q '^sudo apt-get install .*libsqlite3-dev$' "$dir/asked" || fail 'sudo is not used'

# Nothing is missing: nothing is said, and nothing touched.
stand_in finds-no-header <<-'END'
	exit 0
END
packages demo || fail 'all is there, and yet it fails'
[ ! -s "$dir/said" ] || fail 'all is there, and yet something is said'
[ ! -s "$dir/asked" ] || fail 'all is there, and yet something is run'

# In a dry run, each target's commands; those of demo and test look, all and install do not.
looks() { # looks TARGET
	make -n -C "$TOP" BUILD="$dir/build" "$1" | grep -q 'internal/tools/packages'
}
for target in demo test check; do
	looks "$target" || fail "$target does not look for packages"
done
for target in all install examples; do
	! looks "$target" || fail "$target looks for packages"
done
