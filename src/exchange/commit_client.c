/* commit_client.c: handing a commit to the node's daemon (committer.h). */
#include "exchange/exchange_client.h"

#include "util/util.h"

ist_status ist_commit_group(ist_exchange_client *client, const ist_commit_member *member, ist_commit_result *result,
                            ist_error *err)
{
    if (!member->table_uri || !member->context || !member->actions || !member->app_id || !*member->app_id)
        return ist_error_set(err, IST_BAD_INPUT, 0, member->table_uri,
                             "a group commit needs the table, the write context, the actions and an idempotency key");
    ist__message request = {.op = IST__WIRE_COMMIT, .member = *member};
    ist__reply reply;
    ist_status status = ist__exchange_call(client, &request, &reply, err);
    if (status != IST_OK)
        return err ? ist_error_context(err, "commit to %s", member->table_name ? member->table_name : member->table_uri)
                   : status;
    *result = reply.message.result;
    ist__reply_free(&reply);
    return IST_OK;
}
