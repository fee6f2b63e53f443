# Write a manual page of section 3 from its source in docs/man/src and the public headers it names.
#
#     awk -v root=. -f internal/tools/manpage.awk docs/man/src/tmgr_token.3.in >docs/man/tmgr_token.3
#
# The source gives what no header says (the idea, an example); the functions, their parameters and their errors
# come from the headers, so that the two cannot disagree. Lines of the source that begin with @ are for us:
#
#     @name tmgr_token          the page
#     @summary text             what it is, for whatis
#     @header taskmgr/token.h   may be given several times
#     @description, @examples   mdoc follows, up to the next @
#     @see tmgr_task 3 , ...    as .Xr takes it
#
# In the headers it knows: comments of the style guide, followed by a function, a struct, an enum or a #define.

function die(text)
{
	print FILENAME ": " text >"/dev/stderr"
	failed = 1
	exit 1
}

function trim(text)
{
	gsub(/^[ \t]+|[ \t]+$/, "", text)
	gsub(/[ \t]+/, " ", text)
	return text
}

# Text of a comment as roff: functions and `code` in bold, minus signs that can be searched for.
function roff(text,    out, before, word)
{
	gsub(/\\/, "\\e", text)
	gsub(/-/, "\\-", text)
	out = ""
	while (match(text, /`[^`]*`/)) {
		before = substr(text, 1, RSTART - 1)
		word = substr(text, RSTART + 1, RLENGTH - 2)
		text = substr(text, RSTART + RLENGTH)
		out = out bold(before) "\\fB" word "\\fP"
	}
	out = out bold(text)
	if (out ~ /^[.']/)
		out = "\\&" out
	return out
}

function bold(text,    out)
{
	out = ""
	while (match(text, /tmgr_[a-z_]+\(/)) {
		out = out substr(text, 1, RSTART - 1) "\\fB" \
			substr(text, RSTART, RLENGTH - 1) "\\fP("
		text = substr(text, RSTART + RLENGTH)
	}
	return out text
}

function literal(text)
{
	sub(/\/\*\*<? /, "/* ", text)
	gsub(/\\/, "\\e", text)
	gsub(/-/, "\\-", text)
	gsub(/\t/, "    ", text)
	if (text ~ /^[.']/)
		text = "\\&" text
	return text
}

# One parameter or return type as an argument of a macro.
function argument(text)
{
	text = trim(text)
	gsub(/"/, "\\(dq", text)
	gsub(/, /, ",\\: ", text)
	return "\"" text "\""
}

# Split parameters at the commas that are not inside parentheses.
function split_parameters(text, parts,    i, c, depth, n, part)
{
	n = depth = 0
	part = ""
	for (i = 1; i <= length(text); i++) {
		c = substr(text, i, 1)
		if (c == "(")
			depth++
		if (c == ")")
			depth--
		if (c == "," && depth == 0) {
			parts[++n] = part
			part = ""
		} else
			part = part c
	}
	parts[++n] = part
	return n
}

# A function's declaration, without its body: name, type, parameters into functions[].
function add_function(text,    at, head, name, tail)
{
	sub(/^TMGR_API /, "", text)
	sub(/^static inline /, "", text)
	sub(/ TMGR_PRINTF\([^)]*\)/, "", text)
	if (!match(text, /tmgr_[a-z_0-9]+\(/))
		die("no function in: " text)
	at = RSTART
	head = substr(text, 1, at - 1)
	name = substr(text, RSTART, RLENGTH - 1)
	tail = substr(text, RSTART + RLENGTH)
	sub(/\)[^)]*$/, "", tail)
	functions_count++
	functions[functions_count] = name
	function_type[functions_count] = trim(head)
	function_parameters[functions_count] = trim(tail)
	function_comment[functions_count] = comment
	function_header[functions_count] = header
}

function add_type(text)
{
	types_count++
	types[types_count] = text
	type_header[types_count] = header
	type_comment[types_count] = comment
}

function read_header(path,    line, text, state, r)
{
	header = path
	state = "out"
	comment = ""
	while ((r = (getline line <(root "/include/" path))) > 0) {
		if (state == "comment") {
			if (line ~ /\*\/$/) {
				sub(/[ \t]*\*\/$/, "", line)
				state = "out"
			}
			sub(/^[ \t]*\*[ ]?/, "", line)
			comment = comment line "\n"
			if (state == "out" && comment ~ /@file/)
				comment = ""
		} else if (state == "function") {
			text = text " " trim(line)
			if (line ~ /[;{]$/ || line ~ /^\{/)
				finish_function(text)
		} else if (state == "type") {
			text = text line "\n"
			if (line ~ /^}.*;/ || (text ~ /^#define/ && line !~ /\\$/)) {
				add_type(text)
				comment = ""
				state = "out"
			}
		} else if (line ~ /^\/\*\* .*\*\/$/) {
			sub(/^\/\*\* /, "", line)
			sub(/ \*\/$/, "", line)
			comment = line "\n"
		} else if (line ~ /^\/\*\*/) {
			sub(/^\/\*\*[ ]?/, "", line)
			comment = line == "" ? "" : line "\n"
			state = "comment"
		} else if (line ~ /^(TMGR_API|static inline) /) {
			text = line
			state = "function"
			if (line ~ /;$/)
				finish_function(text)
		} else if (line ~ /^(struct|enum) .*\{$/ || line ~ /^#define TMGR_.*\\$/) {
			text = line "\n"
			state = "type"
		} else if (line ~ /^#define TMGR_[A-Z_0-9]+[ (]/ && path !~ /version.h$/)
			add_type(line "\n")
		else if (line == "")
			comment = ""
		if (state == "function" && line ~ /;$/)
			state = "out"
		if (state == "function" && line ~ /^\{/)
			state = "out"
	}
	close(root "/include/" path)
	if (r < 0)
		die("cannot read " path)
}

function finish_function(text)
{
	sub(/[ ]*[;{]$/, "", text)
	add_function(text)
	comment = ""
}

function print_synopsis(    i, j, n, parts)
{
	print ".Sh SYNOPSIS"
	for (i = 1; i <= headers_count; i++) {
		print ".In " headers[i]
		for (j = 1; j <= functions_count; j++) {
			if (function_header[j] != headers[i])
				continue
			print ".Ft " argument(function_type[j])
			print ".Fo " functions[j]
			n = split_parameters(function_parameters[j], parts)
			for (k = 1; k <= n; k++)
				print ".Fa " argument(parts[k])
			print ".Fc"
		}
	}
}

# The plain text of a comment: paragraphs.
function print_text(text,    lines, n, i)
{
	n = split(text, lines, "\n")
	for (i = 1; i <= n; i++) {
		if (trim(lines[i]) == "")
			pending = started
		else {
			if (pending)
				print ".Pp"
			pending = 0
			started = 1
			print roff(trim(lines[i]))
		}
	}
}

# Collect the tags of a comment: kind, name and text each. What stands before the first goes into tag_text[0].
function read_tags(text,    lines, n, i, line, kind)
{
	tags_count = 0
	tag_text[0] = ""
	n = split(text, lines, "\n")
	for (i = 1; i <= n; i++) {
		line = trim(lines[i])
		if (line ~ /^@/) {
			kind = line
			sub(/ .*/, "", kind)
			sub(/^@[a-z]+ ?/, "", line)
			tags_count++
			tag_kind[tags_count] = substr(kind, 2)
			tag_name[tags_count] = ""
			if (kind == "@param" || kind == "@retval") {
				tag_name[tags_count] = line
				sub(/ .*/, "", tag_name[tags_count])
				sub(/^[^ ]+ ?/, "", line)
			}
			tag_text[tags_count] = trim(line)
		} else if (tags_count == 0)
			tag_text[0] = tag_text[0] lines[i] "\n"
		else if (line != "")
			tag_text[tags_count] = tag_text[tags_count] " " line
	}
}

function print_list(kind, title, width,    i, any)
{
	any = 0
	for (i = 1; i <= tags_count; i++) {
		if (tag_kind[i] != kind)
			continue
		if (!any) {
			print ".Pp"
			print title
			print ".Bl -tag -width " width " -compact -offset 2n"
		}
		any = 1
		print kind == "param" ? ".It Fa " tag_name[i] : ".It " roff(tag_name[i])
		print roff(tag_text[i])
	}
	if (any)
		print ".El"
}

function print_function(i,    j)
{
	print ".Ss " functions[i] "()"
	read_tags(function_comment[i])
	started = pending = 0
	print_text(tag_text[0])
	print_list("param", "Parameters:", "parameters")
	for (j = 1; j <= tags_count; j++) {
		if (tag_kind[j] == "return" && tag_text[j] != "") {
			print ".Pp"
			print "Returns: " roff(tag_text[j])
		}
	}
	print_list("retval", "Results:", "-TMGR_ESTUCK")
	for (j = 1; j <= tags_count; j++) {
		if (tag_kind[j] == "thread") {
			print ".Pp"
			print "Threads: " roff(tag_text[j]) "."
		}
		if (tag_kind[j] == "source") {
			print ".Pp"
			print "Follows: " roff(tag_text[j]) "."
		}
	}
}

function print_types(    i, lines, n, j)
{
	if (types_count == 0)
		return
	print ".Sh TYPES AND CONSTANTS"
	for (i = 1; i <= types_count; i++) {
		if (type_comment[i] != "" || i == 1 || types[i] !~ /^#define/ || \
			types[i - 1] !~ /^#define/) {
			print ".Pp"
			started = pending = 0
			read_tags(type_comment[i])
			print_text(tag_text[0])
			print_list("param", "Parameters:", "parameters")
		}
		print ".Bd -literal -offset indent -compact"
		n = split(types[i], lines, "\n")
		for (j = 1; j < n; j++)
			print literal(lines[j])
		print ".Ed"
	}
}

BEGIN {
	if (root == "")
		root = "."
	section = ""
}

/^@/ {
	word = $1
	rest = $0
	sub(/^@[a-z]+ ?/, "", rest)
	section = ""
	if (word == "@name")
		name = rest
	else if (word == "@summary")
		summary = rest
	else if (word == "@header")
		headers[++headers_count] = rest
	else if (word == "@see")
		see = rest
	else if (word == "@description" || word == "@examples")
		section = word
	else
		die("unknown word " word)
	next
}

{
	body[section] = body[section] $0 "\n"
}

END {
	if (failed)
		exit 1
	if (name == "" || summary == "" || headers_count == 0)
		die("name, summary or header is missing")
	for (i = 1; i <= headers_count; i++)
		read_header(headers[i])
	print ".\\\" Written by internal/tools/manpage.awk from docs/man/src/" name ".3.in and the headers: change those."
	print ".Dd November 21, 2026"
	n = name
	print ".Dt " toupper(n) " 3"
	print ".Os taskmgr"
	print ".Sh NAME"
	if (functions_count == 0)
		print ".Nm " name
	for (i = 1; i <= functions_count; i++)
		print ".Nm " functions[i] (i < functions_count ? " ," : "")
	print ".Nd " summary
	print ".Sh LIBRARY"
	print "taskmgr (libtaskmgr, pkg\\-config libtaskmgr)"
	print_synopsis()
	print ".Sh DESCRIPTION"
	printf "%s", body["@description"]
	for (i = 1; i <= functions_count; i++)
		print_function(i)
	print_types()
	print ".Sh RETURN VALUES"
	print "Functions that can fail return 0, or a negative errno, or one of the library's own codes; see"
	print ".Xr tmgr_error 3 ."
	print "They never set"
	print ".Va errno ."
	print "What each returns, and why, stands with it above."
	if (body["@examples"] != "") {
		print ".Sh EXAMPLES"
		printf "%s", body["@examples"]
	}
	print ".Sh SEE ALSO"
	n = split(see, list, " ")
	for (i = 1; i <= n; i++)
		print ".Xr " list[i] " 3 ,"
	print ".Xr taskmgr 7"
}
