#include "host/cluster/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/log.h"

#define BYTES_MIN 16

int slu_key_file_read(const char *path, uint8_t key[SLU_KEY_FILE_BYTES], uint32_t *bytes)
{
	struct stat status = {0};
	ssize_t got = -1;
	int fd;

	*bytes = 0;
	if (!path) {
		slu_warning("cluster: no key_file: whoever reaches the sync network can make and end sessions");
		return 0;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &status) == 0)
		got = read(fd, key, SLU_KEY_FILE_BYTES);
	if (got < 0) {
		int error = -errno;

		slu_error("cluster.key_file %s: %s", path, strerror(-error));
		if (fd >= 0)
			close(fd);
		return error;
	}
	close(fd);
	if (got < BYTES_MIN) {
		slu_error("cluster.key_file %s: has %zd bytes, at least %d are needed", path, got, BYTES_MIN);
		return -EINVAL;
	}
	if (status.st_mode & 077)
		slu_warning("cluster.key_file %s can be read by others than its owner", path);
	*bytes = (uint32_t)got;
	return 0;
}
