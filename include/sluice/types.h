/*
 * Scalars that stand in memory in a byte order other than the reader's.
 * A value of one of these types is converted before it is used as a number.
 */
#ifndef SLUICE_TYPES_H
#define SLUICE_TYPES_H

#include <stdint.h>

typedef uint16_t slu_be16;
typedef uint32_t slu_be32;
typedef uint64_t slu_be64;
typedef uint16_t slu_le16;
typedef uint32_t slu_le32;
typedef uint64_t slu_le64;

#endif
