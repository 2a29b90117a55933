#include "host/cluster/epoch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/memory.h"
#include "host/control/store.h"

/* No file is epoch 0. */
static int load(const char *path, uint64_t *epoch)
{
	FILE *file = fopen(path, "re");
	char line[32] = "", *end = line;

	*epoch = 0;
	if (!file)
		return errno == ENOENT ? 0 : -errno;
	errno = 0;
	if (fgets(line, sizeof(line), file) && line[0] >= '0' && line[0] <= '9')
		*epoch = strtoull(line, &end, 10);
	fclose(file);
	return end == line || strcmp(end, "\n") != 0 || errno != 0 || *epoch == UINT64_MAX ? -EINVAL : 0;
}

int slu_epoch_raise(const char *state_dir, uint64_t floor, uint64_t *epoch)
{
	char *path = slu_memory_format("%s/epoch", state_dir), line[32];
	int error = load(path, epoch);

	if (!error) {
		*epoch = *epoch + 1 > floor ? *epoch + 1 : floor;
		snprintf(line, sizeof(line), "%" PRIu64 "\n", *epoch);
		error = slu_store_write(path, line, strlen(line));
	}
	free(path);
	return error;
}
