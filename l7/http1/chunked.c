#include <errno.h>

#include "l7/http1/chunked.h"

enum { SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF };

#define SIZE_DIGITS_MAX 15 /* below 2^60 */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int refuse(enum slu_refusal *place, enum slu_refusal refusal)
{
	*place = refusal;
	return -EBADMSG;
}

/* Extensions are not passed on, only skipped: visible characters and blanks. */
static bool extension_goes_on(struct slu_chunked *chunked, char c)
{
	return ((c >= 0x20 && c < 0x7f) || c == '\t') && ++chunked->extension_bytes <= SLU_CHUNKED_EXTENSION_MAX;
}

/* One byte of what is between the data. Returns 0 to go on, 1 after the last chunk's line, -EBADMSG. */
static int framing_byte(struct slu_chunked *chunked, char c, enum slu_refusal *refusal)
{
	int digit;

	switch (chunked->state) {
	case SIZE:
		digit = hex_digit(c);
		if (digit >= 0) {
			if (++chunked->digits > SIZE_DIGITS_MAX)
				return refuse(refusal, SLU_REFUSAL_chunk_size);
			chunked->left = chunked->left << 4 | (unsigned)digit;
			return 0;
		}
		if (chunked->digits == 0 || (c != ';' && c != '\r'))
			return refuse(refusal, c == '\n' ? SLU_REFUSAL_bare_lf : SLU_REFUSAL_chunk_size);
		chunked->state = c == ';' ? EXTENSION : SIZE_LF;
		return 0;
	case EXTENSION:
		if (c == '\r')
			chunked->state = SIZE_LF;
		else if (!extension_goes_on(chunked, c))
			return refuse(refusal, c == '\n' ? SLU_REFUSAL_bare_lf : SLU_REFUSAL_chunk_extension);
		return 0;
	case SIZE_LF:
		if (c != '\n')
			return refuse(refusal, SLU_REFUSAL_bare_cr);
		chunked->state = DATA;
		return chunked->left == 0;
	case DATA_CR:
		chunked->state = DATA_LF;
		return c == '\r' ? 0 : refuse(refusal, SLU_REFUSAL_chunk_end);
	default:
		chunked->state = SIZE;
		chunked->digits = 0;
		return c == '\n' ? 0 : refuse(refusal, SLU_REFUSAL_chunk_end);
	}
}

int slu_chunked_decode(
	struct slu_chunked *chunked, const char *bytes, size_t *count, struct slu_span *data, enum slu_refusal *refusal)
{
	size_t at = 0, all = *count;
	int status = 0;

	*data = (struct slu_span){bytes, 0};
	while (at < all && status == 0) {
		if (chunked->state == DATA) {
			uint64_t bytes_here = chunked->left < all - at ? chunked->left : all - at;

			*data = (struct slu_span){&bytes[at], (uint32_t)bytes_here};
			chunked->left -= bytes_here;
			at += bytes_here;
			if (chunked->left == 0)
				chunked->state = DATA_CR;
			break;
		}
		status = framing_byte(chunked, bytes[at++], refusal);
	}
	*count = at;
	return status == 0 ? -EAGAIN : status;
}
