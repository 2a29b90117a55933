/*
 * The mapped file that holds the tables of all workers, so that sessions outlive
 * the process. A header page, then for each worker its table and its meters.
 */
#ifndef SLU_HOST_SESSION_FILE_H
#define SLU_HOST_SESSION_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slu_session_file {
	int fd; /* locked; -1: anonymous memory */
	uint8_t *memory;
	size_t bytes;
	size_t table_bytes; /* of one worker */
	size_t meter_bytes; /* of one worker, behind its table */
	uint64_t keys[4];   /* of the table's hash */
	bool reused;        /* the file was filled by another process */
	bool clean;
	const char *discarded; /* why its contents were not used, or NULL */
};

/*
 * Maps path, or anonymous memory if it is NULL, for `workers` tables of `capacity` sessions. What stands in the file is
 * kept if layout, boot, workers and capacity are the same, else discarded. Returns 0 or -errno; -EBUSY if another
 * process has it.
 */
int slu_session_file_open(struct slu_session_file *f, const char *path, uint32_t workers, uint32_t capacity);

/* Where a worker's meters stand (struct slu_meter_area). */
void *slu_session_file_meters(const struct slu_session_file *f, uint32_t worker);

/* Whether slu_session_file_set_seeded() was called for what the file holds. */
bool slu_session_file_is_seeded(const struct slu_session_file *f);
void slu_session_file_set_seeded(struct slu_session_file *f);

/* Where a worker's table stands. */
void *slu_session_file_table(const struct slu_session_file *f, uint32_t worker);

/* Marks the file clean if asked to, unmaps and unlocks. */
void slu_session_file_close(struct slu_session_file *f, bool clean);

#endif
