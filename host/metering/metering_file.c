#include "host/metering/metering_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "host/config/memory.h"

#define MAGIC 0x315245544D554C53u /* "SLUMTER1" */
#define RECORDS_MAX 1000000u

struct header {
	uint64_t magic, number, written_ms, count, sum;
};
static_assert(sizeof(struct slu_metering_record) == 144, "of whole words, without holes");

static uint64_t checksum(uint64_t sum, const void *bytes, size_t count)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < count; i += 8) {
		uint64_t word;

		memcpy(&word, at + i, 8);
		sum = (sum ^ word) * 0x100000001B3u;
		sum ^= sum >> 29;
	}
	return sum;
}

static uint64_t sum_of(const struct header *h, const struct slu_metering_record *records)
{
	struct header bare = *h;

	bare.sum = 0;
	return checksum(checksum(0xCBF29CE484222325u, &bare, sizeof(bare)), records, h->count * sizeof(*records));
}

/* One file, if it is there and whole. Returns 1, 0 if it is not there, -EIO if not whole, -ENOMEM. */
static int read_one(const char *path, struct header *h, struct slu_metering_record **records)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), result = -EIO;
	struct stat st;
	size_t bytes;

	*records = NULL;
	if (fd < 0)
		return errno == ENOENT ? 0 : -EIO;
	if (fstat(fd, &st) == 0 && read(fd, h, sizeof(*h)) == sizeof(*h) && h->magic == MAGIC &&
		h->count <= RECORDS_MAX) {
		bytes = h->count * sizeof(**records);
		*records = malloc(bytes + 1);
		if (!*records)
			result = -ENOMEM;
		else if (st.st_size == (off_t)(sizeof(*h) + bytes) && read(fd, *records, bytes) == (ssize_t)bytes &&
			 sum_of(h, *records) == h->sum)
			result = 1;
	}
	close(fd);
	if (result != 1) {
		free(*records);
		*records = NULL;
	}
	return result;
}

int slu_metering_file_open(struct slu_metering_file *file, const char *folder, struct slu_metering_record **records,
	uint32_t *count, uint64_t *written_ms)
{
	int worst = 0;

	*file = (struct slu_metering_file){0};
	*records = NULL;
	*count = 0;
	*written_ms = 0;
	for (int i = 0; i < 2; i++) {
		struct slu_metering_record *found;
		struct header h;
		int result;

		file->path[i] = slu_memory_format("%s/metering.%d", folder, i);
		result = read_one(file->path[i], &h, &found);
		worst = result < worst ? result : worst;
		if (result != 1 || (*records && h.number <= file->number)) {
			free(found);
			continue;
		}
		free(*records);
		*records = found;
		*count = (uint32_t)h.count;
		*written_ms = h.written_ms;
		file->number = h.number;
	}
	for (uint32_t i = 0; i < *count; i++)
		(*records)[i].name[SLU_NAME_BYTES - 1] = '\0';
	return *records && worst == -EIO ? 0 : worst;
}

int slu_metering_file_write(
	struct slu_metering_file *file, const struct slu_metering_record *records, uint32_t count, uint64_t now_ms)
{
	struct header h = {.magic = MAGIC, .number = file->number + 1, .written_ms = now_ms, .count = count};
	struct iovec parts[2] = {{&h, sizeof(h)}, {(void *)(uintptr_t)records, count * sizeof(*records)}};
	size_t bytes = parts[0].iov_len + parts[1].iov_len;
	int fd = open(file->path[h.number % 2], O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), result = 0;
	ssize_t done;

	if (fd < 0)
		return -errno;
	h.sum = sum_of(&h, records);
	done = pwritev(fd, parts, 2, 0);
	if (done < 0)
		result = -errno;
	else if ((size_t)done != bytes)
		result = -ENOSPC;
	else if (ftruncate(fd, (off_t)bytes))
		result = -errno;
	close(fd);
	if (result == 0)
		file->number = h.number;
	return result;
}

void slu_metering_file_close(struct slu_metering_file *file)
{
	free(file->path[0]);
	free(file->path[1]);
	*file = (struct slu_metering_file){0};
}
