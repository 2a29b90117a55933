#include "tests/unit/tls_material.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define MUST(condition)                                                                                                \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			abort();                                                                                       \
	} while (0)
#define DAY_S 86400

static EVP_PKEY *make_key(enum tls_kind kind)
{
	EVP_PKEY *key = kind == TLS_P256      ? EVP_EC_gen("P-256")
			: kind == TLS_P384    ? EVP_EC_gen("P-384")
			: kind == TLS_RSA2048 ? EVP_RSA_gen(2048)
					      : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	MUST(key != NULL);
	return key;
}

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;

	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	MUST(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
	X509_EXTENSION_free(extension);
}

static X509 *make_certificate(const char *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, const char *names)
{
	static long serial = 1;
	X509 *certificate = X509_new();
	X509_NAME *subject = X509_get_subject_name(certificate);

	X509_set_version(certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(certificate, issuer != NULL ? X509_get_subject_name(issuer) : subject);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -DAY_S);
	X509_gmtime_adj(X509_getm_notAfter(certificate), DAY_S);
	X509_set_pubkey(certificate, key);
	add_extension(certificate, issuer, NID_basic_constraints, issuer == NULL ? "critical,CA:TRUE" : "CA:FALSE");
	if (names != NULL)
		add_extension(certificate, issuer, NID_subject_alt_name, names);
	MUST(X509_sign(certificate, issuer_key, EVP_sha256()) > 0);
	return certificate;
}

static FILE *open_file(const struct tls_material *material, const char *name, char path[TLS_MATERIAL_PATH])
{
	FILE *file;

	snprintf(path, TLS_MATERIAL_PATH, "%s/%s", material->folder, name);
	file = fopen(path, "w");
	MUST(file != NULL);
	return file;
}

void tls_material_create(struct tls_material *material)
{
	FILE *file;

	strcpy(material->folder, "/tmp/slu-test-tls-XXXXXX");
	MUST(mkdtemp(material->folder) != NULL);
	material->ca_key = make_key(TLS_P256);
	material->ca = make_certificate("Test CA", material->ca_key, NULL, material->ca_key, NULL);
	file = open_file(material, "ca.pem", material->ca_file);
	PEM_write_X509(file, material->ca);
	fclose(file);
}

void tls_material_free(struct tls_material *material)
{
	char command[128];

	X509_free(material->ca);
	EVP_PKEY_free(material->ca_key);
	snprintf(command, sizeof(command), "rm -rf %s", material->folder);
	MUST(system(command) == 0);
}

static void issue(const struct tls_material *material, const char *name, enum tls_kind kind, const char *names,
	X509 *ca, EVP_PKEY *ca_key, struct tls_party *party)
{
	char file_name[64];
	FILE *file;

	party->key = make_key(kind);
	party->certificate = make_certificate(name, party->key, ca, ca_key, names);
	snprintf(file_name, sizeof(file_name), "%s.pem", name);
	file = open_file(material, file_name, party->chain_file);
	PEM_write_X509(file, party->certificate);
	PEM_write_X509(file, ca);
	fclose(file);
	snprintf(file_name, sizeof(file_name), "%s.key", name);
	file = open_file(material, file_name, party->key_file);
	PEM_write_PrivateKey(file, party->key, NULL, NULL, 0, NULL, NULL);
	fclose(file);
}

void tls_material_issue(
	struct tls_material *material, const char *file, enum tls_kind kind, const char *names, struct tls_party *party)
{
	issue(material, file, kind, names, material->ca, material->ca_key, party);
}

void tls_material_issue_foreign(
	struct tls_material *material, const char *file, enum tls_kind kind, const char *names, struct tls_party *party)
{
	EVP_PKEY *key = make_key(TLS_P256);
	X509 *ca = make_certificate("Foreign CA", key, NULL, key, NULL);

	issue(material, file, kind, names, ca, key, party);
	X509_free(ca);
	EVP_PKEY_free(key);
}

void tls_party_free(struct tls_party *party)
{
	X509_free(party->certificate);
	EVP_PKEY_free(party->key);
}

void tls_material_staple(struct tls_material *material, const struct tls_party *party, int status, long seconds,
	char path[TLS_MATERIAL_PATH])
{
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	ASN1_TIME *now = X509_gmtime_adj(NULL, -2), *next = X509_gmtime_adj(NULL, seconds);
	OCSP_CERTID *id = OCSP_cert_to_id(NULL, party->certificate, material->ca);
	ASN1_TIME *revoked = status == V_OCSP_CERTSTATUS_REVOKED ? now : NULL;
	OCSP_RESPONSE *response;
	unsigned char *der = NULL;
	FILE *file;
	int bytes;

	MUST(OCSP_basic_add1_status(basic, id, status, 0, revoked, now, next) != NULL);
	MUST(OCSP_basic_sign(basic, material->ca, material->ca_key, EVP_sha256(), NULL, 0) == 1);
	response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	bytes = i2d_OCSP_RESPONSE(response, &der);
	file = open_file(material, "staple.der", path);
	MUST(fwrite(der, 1, (size_t)bytes, file) == (size_t)bytes);
	fclose(file);
	OPENSSL_free(der);
	OCSP_RESPONSE_free(response);
	OCSP_BASICRESP_free(basic);
	OCSP_CERTID_free(id);
	ASN1_TIME_free(now);
	ASN1_TIME_free(next);
}
