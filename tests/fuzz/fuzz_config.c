/*
 * Any bytes as a configuration document: refused with at least one error, or
 * accepted; then its canonical form is accepted too and is its own canonical form.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct slu_config *config = NULL, *again = NULL;
	struct slu_errors errors;
	char *text, *text_again;

	slu_errors_init(&errors, "fuzz");
	if (slu_config_parse(data, bytes, &config, &errors) != 0) {
		assert(config == NULL && errors.count > 0);
		slu_errors_clear(&errors);
		return 0;
	}
	text = slu_config_dump(config);
	assert(text != NULL);
	assert(slu_config_parse(text, strlen(text), &again, &errors) == 0);
	text_again = slu_config_dump(again);
	assert(strcmp(text, text_again) == 0);
	free(text);
	free(text_again);
	slu_config_free(config);
	slu_config_free(again);
	slu_errors_clear(&errors);
	return 0;
}
