#include "host/dataplane/session_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "host/dataplane/meter.h"
#include "host/dataplane/session_table.h"

#define MAGIC 0x5353454C55535331u
#define HEADER_BYTES ((size_t)2 << 20) /* a huge page, so that tables stand on one as well */
#define BOOT_ID_BYTES 40

struct header {
	uint64_t magic;
	uint32_t layout;
	uint32_t workers;
	uint32_t capacity; /* of a worker */
	uint32_t clean;
	uint64_t keys[4];
	char boot_id[BOOT_ID_BYTES];
	uint32_t complete; /* written last */
	uint32_t seeded;   /* the meters have what was metered before there was this file */
};

/* Times in sessions count from the boot. */
static void read_boot_id(char id[BOOT_ID_BYTES])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, id, BOOT_ID_BYTES - 1);

	memset(id + (got > 0 ? got : 0), 0, BOOT_ID_BYTES - (size_t)(got > 0 ? got : 0));
	if (fd >= 0)
		close(fd);
}

static const char *mismatch(const struct header *h, uint32_t workers, uint32_t capacity)
{
	char boot_id[BOOT_ID_BYTES];

	read_boot_id(boot_id);
	if (h->magic != MAGIC || !h->complete)
		return "not a session file";
	if (h->layout != SLU_SESSION_LAYOUT)
		return "another layout version";
	if (memcmp(h->boot_id, boot_id, sizeof(boot_id)))
		return "from before the last boot";
	if (h->workers != workers)
		return "another number of workers";
	if (h->capacity != capacity)
		return "another capacity";
	return NULL;
}

static int fill_header(struct slu_session_file *f, uint32_t workers, uint32_t capacity)
{
	struct header *h = (struct header *)f->memory;

	*h = (struct header){.magic = MAGIC, .layout = SLU_SESSION_LAYOUT, .workers = workers, .capacity = capacity};
	read_boot_id(h->boot_id);
	if (getrandom(h->keys, sizeof(h->keys), 0) != sizeof(h->keys))
		return -EIO;
	/* A multiplier of the hash must not be even. */
	for (int i = 0; i < 4; i++)
		h->keys[i] |= 1;
	__atomic_store_n(&h->complete, 1, __ATOMIC_RELEASE);
	return 0;
}

/* A file with holes would kill the process when its file system is full, so there must be room for all of it now. */
static int check_room(int fd, size_t bytes)
{
	struct statvfs fs;
	struct stat st;

	if (fstatvfs(fd, &fs) || fstat(fd, &st))
		return -errno;
	if ((uint64_t)fs.f_bavail * fs.f_frsize + (uint64_t)st.st_blocks * 512 < bytes)
		return -ENOSPC;
	return 0;
}

static int open_locked(const char *path)
{
	const char *name = strrchr(path, '/');
	int fd;

	if (strstr(name ? name : path, "map_"))
		return -EINVAL;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		int error = errno == EWOULDBLOCK ? -EBUSY : -errno;

		close(fd);
		return error;
	}
	return fd;
}

/* Judges what the file holds before it is mapped; what is no use is thrown away. */
static int prepare(struct slu_session_file *f, uint32_t workers, uint32_t capacity)
{
	struct header h = {0};
	struct stat st;
	int result;

	if (fstat(f->fd, &st))
		return -errno;
	if (st.st_size > 0) {
		/* Not pread: a hugetlbfs file cannot be read, only mapped. */
		void *page = mmap(NULL, HEADER_BYTES, PROT_READ, MAP_SHARED, f->fd, 0);

		if (page != MAP_FAILED && (size_t)st.st_size >= HEADER_BYTES)
			memcpy(&h, page, sizeof(h));
		if (page != MAP_FAILED)
			munmap(page, HEADER_BYTES);
		f->discarded = mismatch(&h, workers, capacity);
		if (!f->discarded && (size_t)st.st_size != f->bytes)
			f->discarded = "another size";
		f->reused = !f->discarded;
		f->clean = f->reused && h.clean;
	}
	if (!f->reused && ftruncate(f->fd, 0))
		return -errno;
	result = check_room(f->fd, f->bytes);
	if (!result && ftruncate(f->fd, (off_t)f->bytes))
		result = -errno;
	return result;
}

static int map(struct slu_session_file *f)
{
	int flags = f->fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	size_t extra = f->fd >= 0 ? 0 : HEADER_BYTES;
	uint8_t *memory = mmap(NULL, f->bytes + extra, PROT_READ | PROT_WRITE, flags, f->fd, 0);
	size_t skip;

	if (memory == MAP_FAILED)
		return -errno;
	/* Aligned, so that every huge page can be one. */
	skip = extra ? (HEADER_BYTES - (uintptr_t)memory % HEADER_BYTES) % HEADER_BYTES : 0;
	if (skip)
		munmap(memory, skip);
	if (extra && extra != skip)
		munmap(memory + skip + f->bytes, extra - skip);
	f->memory = memory + skip;
	/* Only an advice: without huge pages it works too. */
	(void)madvise(f->memory, f->bytes, MADV_HUGEPAGE);
	(void)madvise(f->memory, f->bytes, MADV_DONTDUMP);
	return 0;
}

int slu_session_file_open(struct slu_session_file *f, const char *path, uint32_t workers, uint32_t capacity)
{
	int result = 0;

	*f = (struct slu_session_file){.fd = -1, .table_bytes = slu_session_table_bytes(capacity)};
	f->meter_bytes = (sizeof(struct slu_meter_area) + HEADER_BYTES - 1) / HEADER_BYTES * HEADER_BYTES;
	f->bytes = HEADER_BYTES + workers * (f->table_bytes + f->meter_bytes);
	if (path) {
		f->fd = open_locked(path);
		if (f->fd < 0)
			return f->fd;
		result = prepare(f, workers, capacity);
	}
	if (!result)
		result = map(f);
	if (!result && !f->reused)
		result = fill_header(f, workers, capacity);
	if (result) {
		slu_session_file_close(f, false);
		return result;
	}
	memcpy(f->keys, ((struct header *)f->memory)->keys, sizeof(f->keys));
	__atomic_store_n(&((struct header *)f->memory)->clean, 0, __ATOMIC_RELEASE);
	return 0;
}

void *slu_session_file_table(const struct slu_session_file *f, uint32_t worker)
{
	return f->memory + HEADER_BYTES + worker * (f->table_bytes + f->meter_bytes);
}

void *slu_session_file_meters(const struct slu_session_file *f, uint32_t worker)
{
	return (uint8_t *)slu_session_file_table(f, worker) + f->table_bytes;
}

bool slu_session_file_is_seeded(const struct slu_session_file *f)
{
	return ((const struct header *)f->memory)->seeded;
}

void slu_session_file_set_seeded(struct slu_session_file *f)
{
	__atomic_store_n(&((struct header *)f->memory)->seeded, 1, __ATOMIC_RELEASE);
}

void slu_session_file_close(struct slu_session_file *f, bool clean)
{
	if (f->memory) {
		if (clean)
			__atomic_store_n(&((struct header *)f->memory)->clean, 1, __ATOMIC_RELEASE);
		munmap(f->memory, f->bytes);
	}
	if (f->fd >= 0)
		close(f->fd);
	f->memory = NULL;
	f->fd = -1;
}
