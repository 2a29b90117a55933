#include "keyserver/content.h"

#include <string.h>

#define PAD_BYTES 64u
#define PAD 0x20

size_t slu_content_cert_verify(uint8_t role, const uint8_t *hash, size_t hash_bytes, uint8_t *content)
{
	static const char server[] = "TLS 1.3, server CertificateVerify";
	static const char client[] = "TLS 1.3, client CertificateVerify";
	const char *context = role == SLU_KEY_SERVER ? server : client;

	static_assert(sizeof(server) == sizeof(client), "RFC 8446");
	static_assert(PAD_BYTES + sizeof(server) + 48 <= SLU_CONTENT_CERT_VERIFY_MAX, "room");
	if (role != SLU_KEY_SERVER && role != SLU_KEY_CLIENT)
		return 0;
	memset(content, PAD, PAD_BYTES);
	memcpy(content + PAD_BYTES, context, sizeof(server)); /* with its zero */
	memcpy(content + PAD_BYTES + sizeof(server), hash, hash_bytes);
	return PAD_BYTES + sizeof(server) + hash_bytes;
}

#define NAMED_CURVE 3
#define UNCOMPRESSED 4
#define PARAMETERS_HEADER 4u

static const struct {
	uint16_t id;
	uint8_t point_bytes;
	bool uncompressed;
} curves[] = {
	{23, 65, true},  /* secp256r1 */
	{24, 97, true},  /* secp384r1 */
	{25, 133, true}, /* secp521r1 */
	{29, 32, false}, /* x25519 */
	{30, 56, false}, /* x448 */
};

bool slu_content_is_parameters(const uint8_t *bytes, size_t count)
{
	if (count < PARAMETERS_HEADER + 1 || bytes[0] != NAMED_CURVE)
		return false;
	for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++) {
		if ((bytes[1] << 8 | bytes[2]) != curves[i].id)
			continue;
		return bytes[3] == curves[i].point_bytes && count == PARAMETERS_HEADER + curves[i].point_bytes &&
		       (!curves[i].uncompressed || bytes[PARAMETERS_HEADER] == UNCOMPRESSED);
	}
	return false;
}

enum handshake_type {
	CLIENT_HELLO = 1,
	SERVER_HELLO = 2,
	CERTIFICATE = 11,
	SERVER_KEY_EXCHANGE = 12,
	CERTIFICATE_REQUEST = 13,
	SERVER_HELLO_DONE = 14,
	CLIENT_KEY_EXCHANGE = 16,
	CERTIFICATE_STATUS = 22,
};
#define HANDSHAKE_HEADER 4u

/* Takes one handshake message off. Returns its type, or -1. */
static int next_message(const uint8_t **bytes, size_t *count, const uint8_t **body, size_t *body_bytes)
{
	const uint8_t *p = *bytes;
	size_t size;

	if (*count < HANDSHAKE_HEADER)
		return -1;
	size = (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
	if (size > *count - HANDSHAKE_HEADER)
		return -1;
	*body = p + HANDSHAKE_HEADER;
	*body_bytes = size;
	*bytes += HANDSHAKE_HEADER + size;
	*count -= HANDSHAKE_HEADER + size;
	return p[0];
}

bool slu_content_is_transcript(const uint8_t *bytes, size_t count)
{
	static const struct {
		uint8_t type;
		bool optional;
	} order[] = {{CLIENT_HELLO, false}, {SERVER_HELLO, false}, {CERTIFICATE, false}, {CERTIFICATE_STATUS, true},
		{SERVER_KEY_EXCHANGE, true}, {CERTIFICATE_REQUEST, false}, {SERVER_HELLO_DONE, false},
		{CERTIFICATE, false}, {CLIENT_KEY_EXCHANGE, false}};
	const size_t steps = sizeof(order) / sizeof(order[0]);
	const uint8_t *body = NULL;
	size_t body_bytes = 0, step = 0;
	int type;

	while (count > 0) {
		type = next_message(&bytes, &count, &body, &body_bytes);
		while (step < steps && order[step].type != type && order[step].optional)
			step++;
		if (type < 0 || step == steps || order[step].type != type)
			return false;
		/* Both hellos begin with the version, and a random. */
		if ((type == CLIENT_HELLO || type == SERVER_HELLO) &&
			(body_bytes < 2 + SLU_KEY_RANDOM_BYTES || body[0] != 3 || body[1] != 3))
			return false;
		step++;
	}
	return step == steps;
}
