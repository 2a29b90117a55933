/*
 * Keys and certificates for tests of TLS: made when the test starts, in files of a folder
 * of its own.
 */
#ifndef SLU_TESTS_TLS_MATERIAL_H
#define SLU_TESTS_TLS_MATERIAL_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#define TLS_MATERIAL_PATH 128

struct tls_material {
	char folder[64];
	X509 *ca;
	EVP_PKEY *ca_key;
	char ca_file[TLS_MATERIAL_PATH];
};

/* A certificate of the CA, with its key, in memory and in PEM files. */
struct tls_party {
	X509 *certificate;
	EVP_PKEY *key;
	char chain_file[TLS_MATERIAL_PATH], key_file[TLS_MATERIAL_PATH];
};

enum tls_kind { TLS_P256, TLS_P384, TLS_RSA2048, TLS_ED25519, TLS_KINDS };

void tls_material_create(struct tls_material *material);
void tls_material_free(struct tls_material *material);

/* `names` as OpenSSL's configuration has them: "DNS:a.example,DNS:*.b.example,IP:127.0.0.1". */
void tls_material_issue(struct tls_material *material, const char *file, enum tls_kind kind, const char *names,
	struct tls_party *party);
/* The same, signed by another CA that the folder's does not know. */
void tls_material_issue_foreign(struct tls_material *material, const char *file, enum tls_kind kind, const char *names,
	struct tls_party *party);
void tls_party_free(struct tls_party *party);

/* An OCSP response for the certificate, DER, into `path`: `status` of openssl/ocsp.h, good for `seconds` from now. */
void tls_material_staple(struct tls_material *material, const struct tls_party *party, int status, long seconds,
	char path[TLS_MATERIAL_PATH]);

#endif
