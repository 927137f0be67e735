"""What a statement may call and read in DuckDB.

DuckDB has functions that read files, run SQL, take pointers, or tell about the process and other statements. So the SQL
that it is to run is parsed once more, by its own parser, and every function and table in it must be known here: a
function of a newer DuckDB is refused until somebody has looked at it.
"""

import json

from isthmus.engine.dialect import locate
from isthmus.engine.errors import StatementError, unsupported

TABLE_FUNCTIONS = frozenset("range generate_series unnest json_each".split())

OPERATORS = frozenset("""
!= !__postfix !~~ !~~* % & && * ** + - ->> / // < <-> << <= <=> <@ = > >= >> @ @> ^ ^@ | || ~ ~~ ~~* ~~~
""".split())

FUNCTIONS = OPERATORS | frozenset("""
__between __cast abs acos acosh add age aggregate ago any_value apply approx_count_distinct approx_quantile
approx_top_k arbitrary arg_max arg_max_null arg_max_nulls_last arg_min arg_min_null arg_min_nulls_last argmax argmin
array_agg array_aggr array_aggregate array_append array_apply array_cat array_concat array_contains
array_cosine_distance array_cosine_similarity array_cross_product array_distance array_distinct array_dot_product
array_extract array_filter array_grade_up array_has array_has_all array_has_any array_indexof array_inner_product
array_intersect array_length array_negative_dot_product array_negative_inner_product array_pop_back array_pop_front
array_position array_prepend array_push_back array_push_front array_reduce array_resize array_reverse
array_reverse_sort array_select array_slice array_sort array_to_json array_to_string array_to_string_comma_default
array_transform array_unique array_value array_where array_zip ascii asin asinh assert_true atan atan2 atanh avg bar
base64 bin binom bit_and bit_count bit_length bit_or bit_position bit_xor bitstring bitstring_agg bool_and bool_or
cardinality cbrt ceil ceiling century char_length character_length chr concat concat_ws contains corr cos cosh cot
count count_if count_star countif covar_pop covar_samp cume_dist current_date current_localtime current_localtimestamp
damerau_levenshtein date_add date_diff date_part date_sub date_trunc datediff datepart datesub datetrunc day dayname
dayofmonth dayofweek dayofyear days_in_month decade decimal_average decimal_division decode degrees dense_rank divide
editdist3 element_at encode ends_with entropy epoch epoch_ms epoch_ns epoch_us equi_width_bins era error even exp
factorial favg fdiv fill filter first first_value flatten floor fmod format format_bytes formatreadabledecimalsize
formatreadablesize from_base64 from_binary from_hex from_json fsum gamma gcd gen_random_uuid generate_series geomean
geometric_mean get_bit get_current_time get_current_timestamp grade_up greatest greatest_common_divisor group_concat
hamming hash hex histogram histogram_exact hour if ilike_escape instr isfinite isinf isnan isodow isoyear jaccard
jaro_similarity jaro_winkler_similarity json json_array json_array_length json_contains json_deep_merge json_exists
json_extract json_extract_path json_extract_path_text json_extract_string json_group_array json_group_object
json_insert json_keys json_merge_patch json_merge_patch_diff json_normalize json_object json_pretty json_quote
json_remove json_replace json_set json_strip_nulls json_structure json_transform json_transform_strict json_type
json_valid json_value julian kahan_sum kurtosis kurtosis_pop lag last last_day last_value lcase lcm lead least
least_common_multiple left left_grapheme len length length_grapheme levenshtein lgamma like_escape list list_aggr
list_aggregate list_any_value list_append list_apply list_approx_count_distinct list_avg list_bit_and list_bit_or
list_bit_xor list_bool_and list_bool_or list_cat list_concat list_contains list_cosine_distance list_cosine_similarity
list_count list_distance list_distinct list_dot_product list_element list_entropy list_extract list_filter list_first
list_grade_up list_has list_has_all list_has_any list_histogram list_indexof list_inner_product list_intersect
list_kurtosis list_kurtosis_pop list_last list_mad list_max list_median list_min list_mode list_negative_dot_product
list_negative_inner_product list_pack list_position list_prepend list_product list_reduce list_resize list_reverse
list_reverse_sort list_select list_sem list_skewness list_slice list_sort list_stddev_pop list_stddev_samp
list_string_agg list_sum list_transform list_unique list_value list_var_pop list_var_samp list_where list_zip listagg
ln log log10 log2 lower lpad ltrim mad make_date make_time make_timestamp make_timestamp_ms make_timestamp_ns
make_timestamptz map map_concat map_contains map_contains_entry map_contains_value map_entries map_extract
map_extract_value map_from_entries map_keys map_values max max_by md5 md5_number md5_number_lower md5_number_upper
mean median microsecond millennium millisecond min min_by minute mismatches mod mode month monthname multiply
nanosecond nextafter normalized_interval not_ilike_escape not_like_escape now nth_value ntile nullif octet_length ord
overlay parse_formatted_bytes percent_rank pi position pow power prefix printf product quantile quantile_cont
quantile_disc quarter radians random range rank rank_dense reduce regexp_escape regexp_extract regexp_extract_all
regexp_full_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table regr_avgx regr_avgy
regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy repeat replace reservoir_quantile reverse
right right_grapheme round round_even roundbankers row row_number row_to_json rpad rtrim second sem set_bit
sha1 sha256 sign signbit sin sinh skewness split split_part sqrt starts_with stddev stddev_pop stddev_samp str_split
str_split_regex strftime string_agg string_split string_split_regex string_to_array strip_accents strlen strpos
strptime struct_concat struct_contains struct_extract struct_extract_at struct_has struct_indexof struct_insert
struct_keys struct_pack struct_position struct_update struct_values substr substring substring_grapheme subtract
suffix sum sum_no_overflow sumkahan switch tan tanh time_bucket timezone timezone_hour timezone_minute to_base
to_base64 to_binary to_centuries to_days to_decades to_hex to_hours to_json to_microseconds to_millennia
to_milliseconds to_minutes to_months to_quarters to_seconds to_timestamp to_weeks to_years today transaction_timestamp
translate trim trunc try_strptime typeof ucase unbin unhex unicode union_extract union_tag union_value upper
url_decode url_encode uuid uuid_extract_timestamp uuid_extract_version uuidv4 uuidv7 var_pop var_samp variance wavg
week weekday weekofyear weighted_avg xor year yearweek
""".split())

_NODES = frozenset("""
SELECT_NODE SET_OPERATION_NODE RECURSIVE_CTE_NODE CTE_NODE JOIN SUBQUERY EMPTY EXPRESSION_LIST TABLE_FUNCTION PIVOT
BASE_TABLE
""".split())


def check(connection, sql, relations, text=""):
    """Raise unless the SQL is one query that calls what is known here and reads nothing but `relations` (names).
    `text` is what the user wrote: errors tell places in it."""
    told = json.loads(connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()[0][0])
    if told.get("error"):
        raise unsupported("This statement")
    if len(told["statements"]) != 1:
        raise StatementError("PARSE_SYNTAX_ERROR", "There is more than one statement; send one at a time.")
    _Check(set(relations), text).node(told["statements"][0]["node"])


class _Check:
    """Walks what DuckDB's parser told. Common table expressions may be read, too: that each is used where it is defined
    was seen to when the tables were looked up."""

    def __init__(self, readable, text):
        self.readable = readable
        self.text = text

    def node(self, node):
        if isinstance(node, dict):
            self.readable.update(entry["key"] for entry in node.get("cte_map", {}).get("map", ()))
            kind = node.get("type")
            if kind == "FUNCTION":
                self.function(node, FUNCTIONS)
            elif kind == "TABLE_FUNCTION":
                self.function(node["function"], TABLE_FUNCTIONS)
                return self.node(node["function"]["arguments"])
            elif kind == "BASE_TABLE":
                self.table(node)
            elif ("cte_map" in node or "sample" in node) and kind not in _NODES:
                raise unsupported("This kind of relation")
        for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            self.node(part)

    def function(self, node, known):
        name = node["function_name"].lower()
        if name not in known or node.get("schema") or node.get("catalog"):
            raise StatementError("UNRESOLVED_ROUTINE", f"Cannot resolve the function `{name}`: the embedded engine "
                                 "does not have it; write it otherwise, or run the statement on a Spark warehouse.",
                                 locate(self.text, name))

    def table(self, node):
        name = node["table_name"]
        if name not in self.readable or node.get("schema_name") or node.get("catalog_name"):
            raise StatementError("TABLE_OR_VIEW_NOT_FOUND", f"The table or view `{name}` cannot be found.")
