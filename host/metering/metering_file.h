/*
 * Totals on disk: two files that are written in turn, each with a number and a
 * check sum, so that whatever interrupts a write leaves the other one whole.
 */
#ifndef SLU_HOST_METERING_FILE_H
#define SLU_HOST_METERING_FILE_H

#include "host/metering/metering.h"

/* As it stands in the file, in the machine's byte order. */
struct slu_metering_record {
	uint32_t id;
	uint32_t reserved;
	char name[SLU_NAME_BYTES];
	uint64_t since_ms;
	struct slu_meter_count count[2][2]; /* by enum slu_metering_side, enum slu_metering_scope */
};

struct slu_metering_file {
	char *path[2];
	uint64_t number; /* of the write that was whole last */
};

/*
 * Reads the newer of `folder`/metering.0 and metering.1 that is whole; none is no error. Returns 0, and records that
 * the caller frees; -ENOMEM; -EIO if there are files but none is whole.
 */
int slu_metering_file_open(struct slu_metering_file *file, const char *folder, struct slu_metering_record **records,
	uint32_t *count, uint64_t *written_ms);

/* Overwrites the older one. Returns 0 or -errno; then the newer one is still there. */
int slu_metering_file_write(
	struct slu_metering_file *file, const struct slu_metering_record *records, uint32_t count, uint64_t now_ms);

void slu_metering_file_close(struct slu_metering_file *file);

#endif
