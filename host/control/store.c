#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/config/memory.h"
#include "host/control/store.h"

int slu_store_folder(const char *path)
{
	char *copy = slu_memory_copy(path);
	struct stat status;
	int ret = 0;

	for (char *slash = strchr(copy + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(copy, 0755) != 0 && errno != EEXIST)
			ret = -errno;
		*slash = '/';
	}
	if (mkdir(copy, 0755) == 0)
		ret = 0;
	else if (errno != EEXIST)
		ret = -errno;
	else if (stat(copy, &status) != 0)
		ret = -errno;
	else
		ret = S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;
	free(copy);
	return ret;
}

static int write_all(int fd, const char *text, size_t bytes)
{
	while (bytes > 0) {
		ssize_t done = write(fd, text, bytes);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		text += done;
		bytes -= (size_t)done;
	}
	return fsync(fd) == 0 ? 0 : -errno;
}

/* The rename is on disk when the folder is. */
static int sync_folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash == NULL ? slu_memory_copy(".") : slu_memory_format("%.*s", (int)(slash - path + 1), path);
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret = 0;

	if (fd < 0 || fsync(fd) != 0)
		ret = -errno;
	if (fd >= 0)
		close(fd);
	free(folder);
	return ret;
}

int slu_store_write(const char *path, const char *text, size_t bytes)
{
	char *fresh = slu_memory_format("%s.new", path);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600), ret;

	if (fd < 0) {
		ret = -errno;
		free(fresh);
		return ret;
	}
	ret = write_all(fd, text, bytes);
	if (close(fd) != 0 && ret == 0)
		ret = -errno;
	if (ret == 0 && rename(fresh, path) != 0)
		ret = -errno;
	if (ret != 0)
		unlink(fresh);
	else
		ret = sync_folder_of(path);
	free(fresh);
	return ret;
}
