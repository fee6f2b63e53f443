#!/bin/sh
# What a stranger does: installs into an empty root, compiles a program that knows only
# pkg-config, runs it, and takes everything away again.
set -eu

if [ -n "${SANITIZE-}" ]; then
	echo 'a sanitizer build is not one that is installed'
	exit 77
fi
if nm "$BUILD/libtaskmgr.a" 2>/dev/null | grep -q __gcov_; then
	echo 'nor is one that counts its lines'
	exit 77
fi

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
lib=$root/usr/lib

fail() {
	echo "FAILED: $*"
	exit 1
}

# The caller's umask is not the installed files' mode.
umask 077
# Another script may be installing from the same folder just now.
flock "$BUILD/lock" make -C "$TOP" BUILD="$BUILD" CC="$CC" DESTDIR="$root" PREFIX=/usr install
umask 022
for file in "$lib/libtaskmgr.a" "$lib/pkgconfig/libtaskmgr.pc" "$root/usr/include/taskmgr/version.h" \
	"$root/usr/share/taskmgr/taskmgr-gdb.py"; do
	[ "$(stat -c %a "$file")" = 644 ] || fail "others cannot read $file"
done
[ -z "$(find "$root/usr" -type d ! -perm -005)" ] || fail 'others cannot enter the folders'

# Each function is a page, too.
nowhere=$(find "$root" -type l ! -exec test -e {} \; -print)
[ -z "$nowhere" ] || fail "links lead nowhere: $nowhere"
for name in tmgr_channel_send tmgr_sleep tmgr_manager_add_task tmgr_process_control; do
	grep -q "^\.Fo $name\$" "$root/usr/share/man/man3/$name.3" || fail "there is no page $name(3)"
done

# The guides are where the installed README and their own list say.
doc=$root/usr/share/doc/taskmgr
links() { # links FILE: what it points to, without places in a page and what is elsewhere
	grep -o ']([^)#:]\+' "$1" | cut -c 3- | sort -u
}
links "$doc/README.md" | grep '^docs' >"$root/links" || fail 'the README points to no guide'
links "$doc/docs/README.md" | sed 's|^|docs/|' >>"$root/links" || fail 'the guides are not listed'
while read -r link; do
	[ -r "$doc/$link" ] || fail "the documentation points to $link, which is not installed"
done <"$root/links"

# -- names -------------------------------------------------------------------------------------

version=$(PKG_CONFIG_PATH=$lib/pkgconfig pkg-config --modversion libtaskmgr)
real=$lib/libtaskmgr.so.$version
[ -f "$real" ] || fail "no $real"
soname=$(objdump -p "$real" | awk '$1 == "SONAME" { print $2 }')
case $version in
0.*) wanted=libtaskmgr.so.${version%.*} ;;
*) wanted=libtaskmgr.so.${version%%.*} ;;
esac
[ "$soname" = "$wanted" ] || fail "soname $soname, not $wanted"
[ -e "$lib/$soname" ] || fail "no link $soname"

nm -D --defined-only --without-symbol-versions "$real" | awk '$2 != "A" { print $3 }' >"$root/exported"
grep -q '^tmgr_version$' "$root/exported" || fail 'tmgr_version is not exported'
! grep -v '^tmgr_[^_]' "$root/exported" || fail 'names are exported that are not public'

objdump -p "$real" | awk '$1 == "NEEDED" { print $2 }' >"$root/needed"
! grep -E -v '^(libc|libm|libpthread|librt|libev|ld-linux[-a-z0-9_]*)\.so' "$root/needed" ||
	fail 'the library needs what it does not say'

[ "$(stat -c %a "$root/usr/bin/taskctl")" = 755 ] || fail 'taskctl cannot be run by others'
[ "$("$root/usr/bin/taskctl" --version)" = "taskctl $version" ] || fail 'taskctl is of another version'

# -- hardening ---------------------------------------------------------------------------------

readelf -lW "$real" >"$root/segments"
grep -q GNU_RELRO "$root/segments" || fail 'what is relocated stays writable'
grep GNU_STACK "$root/segments" | grep -q ' RW  ' || fail 'stacks may be executed'
readelf -dW "$real" | grep -q 'Flags:.* NOW' || fail 'names are bound late'
! readelf -dW "$real" | grep -q TEXTREL || fail 'code is written to'
nm -D "$real" | grep -q __stack_chk_fail || fail 'stacks are not protected'

# -- a program ---------------------------------------------------------------------------------

cat >"$root/program.c" <<'PROGRAM'
#include <stdio.h>
#include <string.h>

#include <taskmgr/taskmgr.h>

static int stop_all(void *self, struct tmgr_context *context)
{
	puts(tmgr_version());
	return tmgr_manager_cancel(tmgr_context_manager(context));
}

/* A task on a loop: it needs all that the library needs. */
int main(void)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_task_options options = { 0 };

	if (strcmp(tmgr_version(), TMGR_VERSION_STRING) != 0 ||
		tmgr_loop_create(NULL, &options.loop) < 0)
		return 9;
	tmgr_manager_add_task(manager, "loop", tmgr_loop_task(options.loop), TMGR_STRICT);
	tmgr_manager_add_task_with(
		manager, "last", tmgr_task_function(stop_all, NULL), TMGR_STRICT, &options);
	tmgr_loop_unref(options.loop);
	return tmgr_main(manager);
}
PROGRAM

# The build root is where pkg-config looks, and in front of what it says.
flags() {
	PKG_CONFIG_LIBDIR=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root \
		PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1 pkg-config "$@" libtaskmgr
}

# shellcheck disable=SC2046 # flags are words
"$CC" -Wall -Werror -o "$root/shared" "$root/program.c" $(flags --cflags --libs)
LD_LIBRARY_PATH=$lib "$root/shared"
objdump -p "$root/shared" | grep -q "NEEDED *$soname" || fail 'the shared program is not shared'

# shellcheck disable=SC2046
"$CC" -Wall -Werror -static -o "$root/static" "$root/program.c" $(flags --static --cflags --libs)
"$root/static"

# -- the store on SQLite, a library of its own --------------------------------------------------

cat >"$root/store.c" <<'PROGRAM'
#include <taskmgr/tasks/process_sqlite.h>

int main(int argc, char **argv)
{
	struct tmgr_store *store;

	(void)argc;
	if (tmgr_store_sqlite_create(argv[0], 0, &store) != 0)
		return 1;
	tmgr_store_destroy(store);
	return tmgr_store_sqlite_check("/nowhere", 0, 0) == 0;
}
PROGRAM

store_flags() {
	PKG_CONFIG_LIBDIR=$lib/pkgconfig:$(pkg-config --variable pc_path pkg-config) \
		PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1 \
		pkg-config "$@" libtaskmgr-sqlite
}

store_real=$lib/libtaskmgr-sqlite.so.$version
store_soname=$(objdump -p "$store_real" | awk '$1 == "SONAME" { print $2 }')
[ "$store_soname" = "libtaskmgr-sqlite.so.${soname#libtaskmgr.so.}" ] || fail "soname $store_soname"
nm -D --defined-only --without-symbol-versions "$store_real" | awk '$2 != "A" { print $3 }' >"$root/exported"
! grep -v '^tmgr_store_sqlite_' "$root/exported" || fail 'the store exports names that are not public'
objdump -p "$store_real" | awk '$1 == "NEEDED" { print $2 }' >"$root/needed"
! grep -E -v '^(libc|libpthread|libsqlite3|libtaskmgr|ld-linux[-a-z0-9_]*)\.so' "$root/needed" ||
	fail 'the store needs what it does not say'
# shellcheck disable=SC2046
"$CC" -Wall -Werror -o "$root/store" "$root/store.c" $(store_flags --cflags --libs)
LD_LIBRARY_PATH=$lib "$root/store" || fail 'the store cannot be used'

# -- the linker --------------------------------------------------------------------------------

# A stand-in for ldconfig: what it is asked for, and the folders that the linker knows.
cat >"$root/ldconfig" <<'STANDIN'
#!/bin/sh
dir=$(dirname "$0")
echo "$*" >>"$dir/asked"
[ "$*" = '-N -X -v' ] && printf '%s: (from somewhere)\n' "$(cat "$dir/known")"
exit 0
STANDIN
chmod +x "$root/ldconfig"

install_plainly() { # install_plainly: without DESTDIR
	: >"$root/asked"
	flock "$BUILD/lock" make -C "$TOP" BUILD="$BUILD" CC="$CC" PREFIX="$root/plain" \
		LDCONFIG="$root/ldconfig" install >"$root/said"
}

echo "$root/plain/lib" >"$root/known"
install_plainly
[ "$(tail -n 1 "$root/asked")" = '' ] || fail 'the linker does not know of the new library'
echo /elsewhere >"$root/known"
install_plainly
grep -q "LD_LIBRARY_PATH=$root/plain/lib" "$root/said" || fail 'nobody says where the library is found'
! grep -q '^$' "$root/asked" || fail 'the linker is told of a folder that it does not look in'
rm -r "$root/plain"

# -- away --------------------------------------------------------------------------------------

touch "$lib/libother.so"
flock "$BUILD/lock" make -C "$TOP" BUILD="$BUILD" CC="$CC" DESTDIR="$root" PREFIX=/usr uninstall
left=$(find "$root/usr" ! -type d -o -name '*taskmgr*')
[ "$left" = "$lib/libother.so" ] || fail "uninstall left: $left"
