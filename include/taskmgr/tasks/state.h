/**
 * @file
 * State: a struct described by a table of its fields, written as JSON and read again.
 *
 *     struct order { char *customer; int64_t total; struct line *lines; size_t lines_count; };
 *
 *     static const struct tmgr_state_field order_fields[] = {
 *         TMGR_FIELD(struct order, customer),
 *         TMGR_FIELD_MISSING(struct order, total, "-1"),
 *         TMGR_FIELD_STRUCTS(struct order, lines, lines_count, &line_state),
 *     };
 *     static const struct tmgr_state_table order_state = TMGR_STATE(struct order, order_fields);
 *
 * Integers are numbers, beyond 2^53 text of digits; text is UTF-8 without zero bytes; bytes are text
 * in base64; a NULL text, NULL bytes or an absent optional is null; arrays are arrays, structs are
 * objects. NaN and infinity have no JSON and are refused.
 *
 * A key that the table does not know is kept and written again in its place. A field whose key is
 * missing has the value that its table says, else zero. One with a value of another type, or out of
 * range, goes to the migrate function of its state.
 */
#ifndef TMGR_TASKS_STATE_H
#define TMGR_TASKS_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <taskmgr/version.h>

/** Longest document, bytes. */
#define TMGR_STATE_SIZE_MAX ((size_t)16 * 1024 * 1024)
/** Most levels of a document: the outermost object is the first. */
#define TMGR_STATE_DEPTH_MAX 64
/** Most fields of one struct. */
#define TMGR_STATE_FIELDS_MAX 256
/** Longest key of a field, bytes. */
#define TMGR_STATE_KEY_MAX 63

struct tmgr_state_table;
struct tmgr_state_memory;
struct tmgr_state_old;

/** Bytes, any; no bytes at all where data is NULL. */
struct tmgr_state_bytes {
	/** The first. */
	unsigned char *data;
	/** How many. */
	size_t size;
};

/** What a value is. */
enum tmgr_state_kind {
	TMGR_STATE_BOOL = 1, /**< bool */
	TMGR_STATE_SIGNED,   /**< signed, of 1, 2, 4 or 8 bytes */
	TMGR_STATE_UNSIGNED, /**< unsigned, of 1, 2, 4 or 8 bytes */
	TMGR_STATE_DOUBLE,   /**< double */
	TMGR_STATE_TEXT,     /**< char * */
	TMGR_STATE_BYTES,    /**< struct tmgr_state_bytes */
	TMGR_STATE_STRUCT,   /**< a struct with a table of its own */
};

/** How often a value is there. */
enum tmgr_state_shape {
	TMGR_STATE_ONE,      /**< once, in the struct */
	TMGR_STATE_OPTIONAL, /**< a pointer to it, or NULL */
	TMGR_STATE_ARRAY,    /**< a pointer to the first, and how many in another member */
};

/** A field of a struct; the macros below fill it in. */
struct tmgr_state_field {
	/** Its key in JSON, 1 to TMGR_STATE_KEY_MAX bytes of UTF-8, unique in its struct. */
	const char *name;
	/** Its value when the key is missing, in JSON; NULL: zero. */
	const char *missing;
	/** Of a TMGR_STATE_STRUCT. */
	const struct tmgr_state_table *state;
	/** What its value is. */
	enum tmgr_state_kind kind;
	/** How often it is there. */
	enum tmgr_state_shape shape;
	/** Where in the struct, bytes. */
	size_t offset;
	/** Of one value, bytes. */
	size_t size;
	/** Of an array: where the count of its values is, bytes. */
	size_t count_offset;
	/** Of an array: the size of its count, an unsigned integer, 4 or 8 bytes. */
	size_t count_size;
};

/**
 * Set a field whose value in the old document does not fit it.
 *
 * Called for each such field, after all fields that fit were read. It looks at the old document
 * through old, sets the field in the struct, and may set others.
 *
 * @param old     borrowed until it returns: the object of this struct in the old document
 * @param name    of the field
 * @param object  the struct
 *
 * @return 0; or a negative errno, which is what decoding returns, with the field in its text
 */
typedef int tmgr_state_migrate(struct tmgr_state_old *old, const char *name, void *object);

/** A struct and its fields. */
struct tmgr_state_table {
	/** Of the struct, bytes. */
	size_t size;
	/** Its fields, in the order in which they are written first. */
	const struct tmgr_state_field *fields;
	/** How many. */
	size_t count;
	/** Sets what does not fit; NULL: that is an error. */
	tmgr_state_migrate *migrate;
};

/* clang-format off */
/** The state of a struct, from the array of its fields. */
#define TMGR_STATE(type, array) TMGR_STATE_MIGRATED(type, array, NULL)
/** The same with a function for fields of another type. */
#define TMGR_STATE_MIGRATED(type, array, function)                              \
	{                                                                       \
		.size = sizeof(type), .fields = (array),                        \
		.count = sizeof(array) / sizeof((array)[0]), .migrate = (function), \
	}

/** A member of a struct that does not have to exist, for its type and size. */
#define TMGR_STATE_MEMBER(type, member) (((type *)0)->member)

/** What kind a member is; a member of another type does not compile. */
#define TMGR_STATE_KIND(value)                                                  \
	_Generic((value),                                                       \
		_Bool: TMGR_STATE_BOOL,                                         \
		signed char: TMGR_STATE_SIGNED,                                 \
		short: TMGR_STATE_SIGNED,                                       \
		int: TMGR_STATE_SIGNED,                                         \
		long: TMGR_STATE_SIGNED,                                        \
		long long: TMGR_STATE_SIGNED,                                   \
		unsigned char: TMGR_STATE_UNSIGNED,                             \
		unsigned short: TMGR_STATE_UNSIGNED,                            \
		unsigned int: TMGR_STATE_UNSIGNED,                              \
		unsigned long: TMGR_STATE_UNSIGNED,                             \
		unsigned long long: TMGR_STATE_UNSIGNED,                        \
		double: TMGR_STATE_DOUBLE,                                      \
		char *: TMGR_STATE_TEXT,                                        \
		struct tmgr_state_bytes: TMGR_STATE_BYTES)

/** An integer, bool, double, text or bytes. */
#define TMGR_FIELD(type, member) TMGR_FIELD_MISSING(type, member, NULL)
/** The same, with its value in JSON for documents that lack it. */
#define TMGR_FIELD_MISSING(type, member, json)                                  \
	{                                                                       \
		.name = #member, .missing = (json),                             \
		.kind = TMGR_STATE_KIND(TMGR_STATE_MEMBER(type, member)),       \
		.offset = offsetof(type, member),                               \
		.size = sizeof(TMGR_STATE_MEMBER(type, member)),                \
	}
/** A pointer to an integer, bool or double that may be NULL. */
#define TMGR_FIELD_OPTIONAL(type, member)                                       \
	{                                                                       \
		.name = #member, .shape = TMGR_STATE_OPTIONAL,                  \
		.kind = TMGR_STATE_KIND(*TMGR_STATE_MEMBER(type, member)),      \
		.offset = offsetof(type, member),                               \
		.size = sizeof(*TMGR_STATE_MEMBER(type, member)),               \
	}
/** An array of integers, bools, doubles, texts or bytes: a pointer, and the member that counts. */
#define TMGR_FIELD_ARRAY(type, member, counter)                                 \
	{                                                                       \
		.name = #member, .shape = TMGR_STATE_ARRAY,                     \
		.kind = TMGR_STATE_KIND(*TMGR_STATE_MEMBER(type, member)),      \
		.offset = offsetof(type, member),                               \
		.size = sizeof(*TMGR_STATE_MEMBER(type, member)),               \
		.count_offset = offsetof(type, counter),                        \
		.count_size = sizeof(TMGR_STATE_MEMBER(type, counter)),         \
	}
/** A struct in the struct, and the address of its state. */
#define TMGR_FIELD_STRUCT(type, member, table)                                  \
	{                                                                       \
		.name = #member, .state = (table), .kind = TMGR_STATE_STRUCT,   \
		.offset = offsetof(type, member),                               \
		.size = sizeof(TMGR_STATE_MEMBER(type, member)),                \
	}
/** A pointer to a struct that may be NULL. */
#define TMGR_FIELD_OPTIONAL_STRUCT(type, member, table)                         \
	{                                                                       \
		.name = #member, .state = (table), .kind = TMGR_STATE_STRUCT,   \
		.shape = TMGR_STATE_OPTIONAL,                                   \
		.offset = offsetof(type, member),                               \
		.size = sizeof(*TMGR_STATE_MEMBER(type, member)),               \
	}
/** An array of structs: a pointer to the first, and the member that counts. */
#define TMGR_FIELD_STRUCTS(type, member, counter, table)                        \
	{                                                                       \
		.name = #member, .state = (table), .kind = TMGR_STATE_STRUCT,   \
		.shape = TMGR_STATE_ARRAY,                                      \
		.offset = offsetof(type, member),                               \
		.size = sizeof(*TMGR_STATE_MEMBER(type, member)),               \
		.count_offset = offsetof(type, counter),                        \
		.count_size = sizeof(TMGR_STATE_MEMBER(type, counter)),         \
	}
/* clang-format on */

TMGR_BEGIN_DECLS

/**
 * Memory for what is decoded and encoded, freed at once; also keeps the text of the last error.
 *
 * @param[out] ret  returned, release with tmgr_state_memory_destroy()
 *
 * @retval 0        made
 * @retval -EINVAL  ret is NULL
 * @retval -ENOMEM  out of memory
 *
 * @thread any thread
 */
TMGR_API int tmgr_state_memory_create(struct tmgr_state_memory **ret);

/**
 * Free it and all that was taken from it.
 *
 * @param memory  released; NULL is nothing
 *
 * @thread one thread at a time
 */
TMGR_API void tmgr_state_memory_destroy(struct tmgr_state_memory *memory);

/**
 * Give back all that was taken from it, for the next use; what most uses need stays allocated.
 *
 * @param memory  empty afterwards
 *
 * @thread one thread at a time
 */
TMGR_API void tmgr_state_memory_clear(struct tmgr_state_memory *memory);

/**
 * Take a piece, all zero, aligned as malloc() does.
 *
 * @param memory  to take it from
 * @param size    bytes; 0 gives a piece too
 *
 * @return the piece, borrowed until the memory is cleared or destroyed; NULL: out of memory, or more
 * than SIZE_MAX / 2
 *
 * @thread one thread at a time
 */
TMGR_API void *tmgr_state_take(struct tmgr_state_memory *memory, size_t size);

/**
 * Take a copy of some bytes, with a zero byte after it.
 *
 * @param memory  to take it from
 * @param data    copied
 * @param size    bytes
 *
 * @return the copy, borrowed until the memory is cleared or destroyed; NULL: out of memory
 *
 * @thread one thread at a time
 */
TMGR_API void *tmgr_state_copy(struct tmgr_state_memory *memory, const void *data, size_t size);

/**
 * What was wrong the last time that this memory was used.
 *
 * @param memory  of the call that failed
 *
 * @return a text with the path of the field, like "lines[3].price: is not a number"; "" when nothing
 * has failed; borrowed until the next call with this memory
 *
 * @thread one thread at a time
 */
TMGR_API const char *tmgr_state_error(const struct tmgr_state_memory *memory);

/**
 * Check a table: names, sizes, nested states, and that values for missing keys fit.
 *
 * Decoding and encoding trust their table, so check it once before.
 *
 * @param memory  for the text of the error
 * @param state   the table
 *
 * @retval 0        good
 * @retval -EINVAL  it is not; tmgr_state_error() says what
 * @retval -ENOMEM  out of memory
 *
 * @thread one thread at a time
 */
TMGR_API int tmgr_state_check(
	struct tmgr_state_memory *memory, const struct tmgr_state_table *state);

/**
 * Read a struct from JSON.
 *
 * The memory remembers the document for tmgr_state_encode(), until it is cleared or used to decode
 * again.
 *
 * @param memory    where the struct and all it points to live
 * @param state     of the struct
 * @param json      copied; NULL with a length of 0: a struct of missing fields
 * @param length    bytes
 * @param[out] ret  the struct, borrowed until the memory is cleared or destroyed
 *
 * @retval 0          read
 * @retval -EINVAL    a pointer is missing
 * @retval -EBADMSG   not one JSON object, or a field's key is there twice
 * @retval -EMSGSIZE  longer than TMGR_STATE_SIZE_MAX or deeper than TMGR_STATE_DEPTH_MAX
 * @retval -EILSEQ    text that is not UTF-8, or with a zero byte in a field
 * @retval -EPROTO    a field has another type, and there is no migrate function
 * @retval -ERANGE    a number does not fit its field, and there is no migrate function
 * @retval -ENOMEM    out of memory
 * @retval other      what a migrate function returned
 *
 * @thread one thread at a time
 */
TMGR_API int tmgr_state_decode(struct tmgr_state_memory *memory,
	const struct tmgr_state_table *state, const char *json, size_t length, void **ret);

/**
 * Write a struct as JSON.
 *
 * Of the struct that was decoded last with this memory, keys that its table does not know are written
 * again, in the order of then; in elements of an array while it has as many elements as then.
 *
 * @param memory           where the text lives
 * @param state            of the struct
 * @param object           the struct
 * @param[out] ret         the text, with a zero byte after it, borrowed until the memory is cleared
 *                         or destroyed
 * @param[out] ret_length  its bytes; may be NULL
 *
 * @retval 0          written
 * @retval -EINVAL    a pointer is missing, or an array has a count and no elements
 * @retval -EILSEQ    a text is not UTF-8
 * @retval -EDOM      a double is NaN or infinite
 * @retval -EMSGSIZE  it would be longer than TMGR_STATE_SIZE_MAX or deeper than TMGR_STATE_DEPTH_MAX
 * @retval -ENOMEM    out of memory
 *
 * @thread one thread at a time
 */
TMGR_API int tmgr_state_encode(struct tmgr_state_memory *memory,
	const struct tmgr_state_table *state, const void *object, const char **ret,
	size_t *ret_length);

/** What stands in an old document. */
enum tmgr_state_old_type {
	TMGR_STATE_OLD_ABSENT, /**< nothing: there is no such path */
	TMGR_STATE_OLD_NULL,   /**< null */
	TMGR_STATE_OLD_BOOL,   /**< true or false */
	TMGR_STATE_OLD_NUMBER, /**< a number */
	TMGR_STATE_OLD_TEXT,   /**< text */
	TMGR_STATE_OLD_ARRAY,  /**< an array */
	TMGR_STATE_OLD_OBJECT, /**< an object */
};

/**
 * What stands at a path of the old document.
 *
 * @param old   of a migrate function
 * @param path  keys with a point between, and elements in brackets: "address.lines[0]"
 *
 * @return its type; TMGR_STATE_OLD_ABSENT when there is none, or a pointer is missing
 *
 * @thread the thread of the migrate function
 */
TMGR_API enum tmgr_state_old_type tmgr_state_old_type(
	const struct tmgr_state_old *old, const char *path);

/**
 * An integer of the old document: a number without a fraction, or text of digits.
 *
 * @param old       of a migrate function
 * @param path      as for tmgr_state_old_type()
 * @param[out] ret  the integer
 *
 * @retval 0        read
 * @retval -EINVAL  a pointer is missing
 * @retval -ENOENT  nothing is there
 * @retval -EPROTO  it is no integer
 * @retval -ERANGE  it does not fit
 *
 * @thread the thread of the migrate function
 */
TMGR_API int tmgr_state_old_integer(
	const struct tmgr_state_old *old, const char *path, int64_t *ret);

/**
 * A number of the old document.
 *
 * @param old       of a migrate function
 * @param path      as for tmgr_state_old_type()
 * @param[out] ret  the number
 *
 * @retval 0        read
 * @retval -EINVAL  a pointer is missing
 * @retval -ENOENT  nothing is there
 * @retval -EPROTO  it is no number
 * @retval -ERANGE  it does not fit
 *
 * @thread the thread of the migrate function
 */
TMGR_API int tmgr_state_old_double(const struct tmgr_state_old *old, const char *path, double *ret);

/**
 * A bool of the old document.
 *
 * @param old       of a migrate function
 * @param path      as for tmgr_state_old_type()
 * @param[out] ret  the bool
 *
 * @retval 0        read
 * @retval -EINVAL  a pointer is missing
 * @retval -ENOENT  nothing is there
 * @retval -EPROTO  it is no bool
 *
 * @thread the thread of the migrate function
 */
TMGR_API int tmgr_state_old_bool(const struct tmgr_state_old *old, const char *path, bool *ret);

/**
 * A text of the old document.
 *
 * @param old       of a migrate function
 * @param path      as for tmgr_state_old_type()
 * @param[out] ret  the text, in the memory of the struct: it may be put into it
 *
 * @retval 0        read
 * @retval -EINVAL  a pointer is missing
 * @retval -ENOENT  nothing is there
 * @retval -EPROTO  it is no text
 * @retval -EILSEQ  it has a zero byte
 * @retval -ENOMEM  out of memory
 *
 * @thread the thread of the migrate function
 */
TMGR_API int tmgr_state_old_text(const struct tmgr_state_old *old, const char *path, char **ret);

/**
 * How many elements an array or object of the old document has.
 *
 * @param old   of a migrate function
 * @param path  as for tmgr_state_old_type()
 *
 * @return how many; 0 where there is no array or object
 *
 * @thread the thread of the migrate function
 */
TMGR_API size_t tmgr_state_old_count(const struct tmgr_state_old *old, const char *path);

/**
 * The memory that the struct lives in, for what a migrate function puts into it.
 *
 * @param old  of a migrate function
 *
 * @return borrowed until the migrate function returns
 *
 * @thread the thread of the migrate function
 */
TMGR_API struct tmgr_state_memory *tmgr_state_old_memory(const struct tmgr_state_old *old);

TMGR_END_DECLS

#endif
