#include "l7/tls/policy.h"

#include <errno.h>
#include <string.h>

/* Forward secrecy and AEAD alone: what RFC 9325, 4.2 recommends. */
#define AEAD_12                                                                                                        \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"                     \
	"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
/* For clients of before 2014, which have CBC alone. */
#define CBC_12                                                                                                         \
	"ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:"               \
	"ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA"
#define STATIC_RSA_12 "AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA256:AES128-SHA:AES256-SHA"
#define SUITES_13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS "X25519:P-256:P-384"
#define SIGNATURES                                                                                                     \
	"ECDSA+SHA256:ECDSA+SHA384:ed25519:rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:"               \
	"RSA+SHA256:RSA+SHA384:RSA+SHA512"

static const struct slu_policy policies[] = {
	{"tls-1.3", TLS1_3_VERSION, TLS1_3_VERSION, NULL, SUITES_13, GROUPS, SIGNATURES, false},
	{"tls-1.2", TLS1_2_VERSION, TLS1_3_VERSION, AEAD_12, SUITES_13, GROUPS, SIGNATURES, false},
	{"tls-1.2-compatible", TLS1_2_VERSION, TLS1_3_VERSION, AEAD_12 ":" CBC_12, SUITES_13, GROUPS, SIGNATURES,
		false},
	{"tls-1.2-static-rsa", TLS1_2_VERSION, TLS1_3_VERSION, AEAD_12 ":" CBC_12 ":" STATIC_RSA_12, SUITES_13, GROUPS,
		SIGNATURES, true},
};
#define POLICIES (sizeof(policies) / sizeof(policies[0]))

const struct slu_policy *slu_policy_find(const char *name)
{
	for (size_t i = 0; i < POLICIES; i++)
		if (strcmp(policies[i].name, name) == 0)
			return &policies[i];
	return NULL;
}

const char *const *slu_policy_names(void)
{
	static const char *names[POLICIES + 1];

	for (size_t i = 0; i < POLICIES; i++)
		names[i] = policies[i].name;
	return names;
}

int slu_policy_apply(const struct slu_policy *policy, SSL_CTX *context)
{
	/* RFC 9325, 3.4 and 3.5: no compression, no renegotiation. A client without AES in hardware gets ChaCha20. */
	SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
					     SSL_OP_PRIORITIZE_CHACHA | SSL_OP_NO_ANTI_REPLAY);
	if (SSL_CTX_set_min_proto_version(context, policy->min_version) != 1 ||
		SSL_CTX_set_max_proto_version(context, policy->max_version) != 1 ||
		(policy->ciphers_12 != NULL && SSL_CTX_set_cipher_list(context, policy->ciphers_12) != 1) ||
		SSL_CTX_set_ciphersuites(context, policy->ciphers_13) != 1 ||
		SSL_CTX_set1_groups_list(context, policy->groups) != 1 ||
		SSL_CTX_set1_sigalgs_list(context, policy->signatures) != 1)
		return -EINVAL;
	return 0;
}
