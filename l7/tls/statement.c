#include "l7/tls/statement.h"

#include <errno.h>
#include <string.h>

/* RFC 8446, 4.4.3: 64 spaces, a context with its zero, the hash. */
#define PAD_BYTES 64
#define CONTEXT_BYTES 34
static const char server_context[CONTEXT_BYTES] = "TLS 1.3, server CertificateVerify";
static const char client_context[CONTEXT_BYTES] = "TLS 1.3, client CertificateVerify";
#define SHA256_BYTES 32
#define SHA384_BYTES 48

/* RFC 8422, 5.4: curve type 3 (named), the curve, and a point of at least one byte after its length. */
#define NAMED_CURVE 3
#define PARAMS_HEAD_BYTES 4

/* RFC 5246, 7.4: type 1, three bytes of length, version, random. */
#define CLIENT_HELLO 1
#define HELLO_HEAD_BYTES 4
#define HELLO_MIN_BYTES (HELLO_HEAD_BYTES + 2 + SLU_STATEMENT_RANDOM_BYTES)

static int read_cert_verify(const uint8_t *text, size_t bytes, bool is_client, struct slu_statement *statement)
{
	size_t head = PAD_BYTES + CONTEXT_BYTES;

	if (bytes != head + SHA256_BYTES && bytes != head + SHA384_BYTES)
		return -EBADMSG;
	for (size_t i = 0; i < PAD_BYTES; i++)
		if (text[i] != ' ')
			return -EBADMSG;
	if (memcmp(text + PAD_BYTES, is_client ? client_context : server_context, CONTEXT_BYTES) != 0)
		return -EBADMSG;
	*statement = (struct slu_statement){
		.kind = SLU_STATEMENT_CERT_VERIFY_13, .body = text + head, .body_bytes = bytes - head};
	return 0;
}

static int read_key_exchange(const uint8_t *text, size_t bytes, struct slu_statement *statement)
{
	size_t head = 2 * SLU_STATEMENT_RANDOM_BYTES;
	const uint8_t *params = text + head;

	if (bytes <= head + PARAMS_HEAD_BYTES || params[0] != NAMED_CURVE ||
		bytes - head - PARAMS_HEAD_BYTES != params[3])
		return -EBADMSG;
	*statement = (struct slu_statement){.kind = SLU_STATEMENT_KEY_EXCHANGE_12,
		.client_random = text,
		.server_random = text + SLU_STATEMENT_RANDOM_BYTES,
		.body = params,
		.body_bytes = bytes - head};
	return 0;
}

static int read_transcript(const uint8_t *text, size_t bytes, struct slu_statement *statement)
{
	size_t hello;

	if (bytes < HELLO_MIN_BYTES || text[0] != CLIENT_HELLO)
		return -EBADMSG;
	hello = (size_t)text[1] << 16 | (size_t)text[2] << 8 | text[3];
	if (hello > bytes - HELLO_HEAD_BYTES)
		return -EBADMSG;
	*statement =
		(struct slu_statement){.kind = SLU_STATEMENT_CLIENT_TRANSCRIPT_12, .body = text, .body_bytes = bytes};
	return 0;
}

int slu_statement_read(
	const uint8_t *text, size_t bytes, bool is_tls13, bool is_client, struct slu_statement *statement)
{
	if (is_tls13)
		return read_cert_verify(text, bytes, is_client, statement);
	return is_client ? read_transcript(text, bytes, statement) : read_key_exchange(text, bytes, statement);
}
