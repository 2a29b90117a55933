/*
 * The file with the key that the nodes of a cluster share (cluster.key_file): its bytes are the key.
 */
#ifndef SLU_HOST_KEY_FILE_H
#define SLU_HOST_KEY_FILE_H

#include <stdint.h>

#define SLU_KEY_FILE_BYTES 4096u /* of a longer file, only these */

/*
 * Reads the key; *bytes is 0 where path is NULL: no authentication, of which the log
 * warns. Returns 0, or -errno after saying why in the log: the file cannot be read, or
 * the key is too short (-EINVAL).
 */
int slu_key_file_read(const char *path, uint8_t key[SLU_KEY_FILE_BYTES], uint32_t *bytes);

#endif
