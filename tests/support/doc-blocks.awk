# Take the blocks of code out of a page of documentation.
#
#     awk -v dir=DIRECTORY -f tests/support/doc-blocks.awk PAGE
#
# Writes each block to a file and prints a line for it: kind, file, name, page:line. The line above a block's fence says
# what it is:
#
#     <!-- program: NAME -->       a whole program
#     <!-- fragment -->            functions and types
#     <!-- statements -->          what stands in a function that has a manager, a context and a token
#     <!-- transcript: NAME -->    what a terminal shows when the program is run; see transcript.sh
#     <!-- make -->                targets of the Makefile, a line each
#     <!-- installed -->           commands that work where the library is installed
#     <!-- shown: why -->          only to look at
#
# A comment may go on over several lines: they are put before the block, unseen by the reader. Blocks of C without such
# a line are errors, so that none is forgotten.

function die(text)
{
	print FILENAME ":" NR ": " text >"/dev/stderr"
	failed = 1
	exit 1
}

function begin_block(    base)
{
	base = FILENAME
	gsub(/[^A-Za-z0-9]/, "-", base)
	blocks++
	file = dir "/" base "-" blocks (kind == "program" || kind == "fragment" || kind == "statements" ? ".c" : ".txt")
	printf "" >file
	if (kind == "statements")
		hidden = hidden "int statements(struct tmgr_manager *manager, struct tmgr_context *context, struct tmgr_token *token)\n{\n"
	if (hidden != "")
		printf "%s", hidden >file
	if (kind == "fragment" || kind == "statements")
		print "#line " (NR + 1) " \"" FILENAME "\"" >file
	inside = 1
}

function end_block()
{
	if (kind == "statements")
		print "\treturn 0;\n}" >file
	close(file)
	if (kind != "")
		print kind, file, name == "" ? "-" : name, FILENAME ":" NR
	inside = 0
	kind = name = hidden = ""
}

/^```/ {
	if (inside) {
		end_block()
		next
	}
	if (kind == "" && $0 ~ /^```c$/)
		die("a block of C without a comment that says what it is")
	begin_block()
	next
}

inside {
	print >file
	next
}

in_comment {
	if (/^-->/)
		in_comment = 0
	else
		hidden = hidden $0 "\n"
	next
}

/^<!-- (program|fragment|statements|transcript|make|installed|shown)/ {
	kind = $2
	sub(/:$/, "", kind)
	name = $2 ~ /:$/ && $3 != "" ? $3 : ""
	hidden = ""
	in_comment = !/-->/
	next
}

{
	kind = name = hidden = ""
}

END {
	if (!failed && (inside || in_comment))
		die("a block or comment is not closed")
}
