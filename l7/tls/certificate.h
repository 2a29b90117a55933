/*
 * A certificate with its chain, the reference to its key at the key servers, and its
 * OCSP response if there is one. Immutable; it reads files, so at start and reload alone.
 */
#ifndef SLU_L7_CERTIFICATE_H
#define SLU_L7_CERTIFICATE_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

enum slu_certificate_type { SLU_CERTIFICATE_EC, SLU_CERTIFICATE_RSA, SLU_CERTIFICATE_ED25519, SLU_CERTIFICATE_TYPES };

struct slu_certificate {
	enum slu_certificate_type type;
	X509 *leaf;
	STACK_OF(X509) * chain; /* without the leaf */
	EVP_PKEY *key;          /* a reference (remote_key.h) */
	char **names;           /* DNS names of the leaf in lower case, "*.example.org" among them */
	size_t name_count;
	uint8_t *staple; /* OCSP response in DER, NULL: none */
	size_t staple_bytes;
	int64_t staple_until_s; /* its nextUpdate */
};

/*
 * Reads the PEM file of a chain, leaf first, and a DER file with the OCSP response for
 * the leaf (NULL: none). Returns 0 and a certificate that the caller frees; -EINVAL and
 * why in `error`, naming the file; -ENOMEM.
 */
int slu_certificate_read(const char *chain_file, const char *staple_file, struct slu_certificate **certificate,
	char *error, size_t error_bytes);

/* NULL is allowed. */
void slu_certificate_free(struct slu_certificate *certificate);

#endif
