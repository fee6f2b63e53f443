#include <taskmgr/version.h>

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
#define VERSION_TEXT \
	TEXT(TMGR_VERSION_MAJOR) "." TEXT(TMGR_VERSION_MINOR) "." TEXT(TMGR_VERSION_PATCH)

/* The text is written out in the header, where people look for it; it must not drift. */
_Static_assert(__builtin_strcmp(TMGR_VERSION_STRING, VERSION_TEXT) == 0,
	"TMGR_VERSION_STRING is not what the three numbers say");

const char *tmgr_version(void)
{
	return TMGR_VERSION_STRING;
}
