/*
 * The main function of fuzz programs in builds without the fuzzer: gives them, file by file, what
 * is kept in tests/fuzz/corpus/NAME, or the files named as arguments.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct stat about;
	uint8_t *data = NULL;
	int r = -1;

	if (!file || fstat(fileno(file), &about) < 0)
		goto done;
	/* Exactly as long as the input, so that a read past its end is seen. */
	data = malloc((size_t)about.st_size + (about.st_size == 0));
	if (!data || fread(data, 1, (size_t)about.st_size, file) != (size_t)about.st_size)
		goto done;
	r = LLVMFuzzerTestOneInput(data, (size_t)about.st_size);
done:
	if (r)
		fprintf(stderr, "%s: not replayed: %s\n", path, strerror(errno));
	free(data);
	if (file)
		fclose(file);
	return r;
}

int main(int argc, char **argv)
{
	char folder[256], path[1024];
	struct dirent *entry;
	int failed = 0;
	DIR *corpus;

	for (int i = 1; i < argc; i++)
		failed |= replay_file(argv[i]);
	if (argc > 1)
		return failed ? 1 : 0;

	snprintf(folder, sizeof(folder), "tests/fuzz/corpus/%s", program_invocation_short_name);
	corpus = opendir(folder);
	if (!corpus) {
		fprintf(stderr, "%s: %s\n", folder, strerror(errno));
		return 1;
	}
	while ((entry = readdir(corpus))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		failed |= replay_file(path);
	}
	closedir(corpus);
	return failed ? 1 : 0;
}
