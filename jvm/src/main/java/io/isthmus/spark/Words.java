package io.isthmus.spark;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.antlr.v4.runtime.CharStreams;
import org.antlr.v4.runtime.Token;
import org.apache.spark.sql.catalyst.parser.ParseException;
import org.apache.spark.sql.catalyst.parser.ParserInterface;
import org.apache.spark.sql.catalyst.parser.SqlBaseLexer;
import org.apache.spark.sql.catalyst.parser.UpperCaseCharStream;
import org.apache.spark.sql.catalyst.trees.Origin;
import scala.Option;
import scala.collection.immutable.Map$;
import scala.jdk.javaapi.CollectionConverters;

/**
 * A statement's tokens, as Spark's own lexer splits them, and how far they were read. What does not fit is refused as
 * Spark refuses it: a ParseException with the place.
 */
final class Words {
    private final String sql;
    private final ParserInterface parser;
    private final List<Token> tokens;
    private int at;

    /** @param parser for literals, which may have escapes and continuations */
    Words(String sql, ParserInterface parser) {
        SqlBaseLexer lexer = new SqlBaseLexer(new UpperCaseCharStream(CharStreams.fromString(sql)));
        lexer.removeErrorListeners();
        List<Token> all = new ArrayList<>();
        for (Token token = lexer.nextToken(); ; token = lexer.nextToken()) {
            if (token.getChannel() == Token.DEFAULT_CHANNEL) {
                all.add(token);
            }
            if (token.getType() == Token.EOF) {
                break;
            }
        }
        this.sql = sql;
        this.parser = parser;
        this.tokens = all;
    }

    private Token token(int ahead) {
        return tokens.get(Math.min(at + ahead, tokens.size() - 1));
    }

    private boolean is(int ahead, String word) {
        return token(ahead).getType() != Token.EOF && token(ahead).getText().equalsIgnoreCase(word);
    }

    /** Are the next ones these, separated by spaces here? */
    boolean are(String words) {
        String[] all = words.split(" ");
        for (int i = 0; i < all.length; i++) {
            if (!is(i, all[i])) {
                return false;
            }
        }
        return true;
    }

    /** Read these, if they are next. */
    boolean skip(String words) {
        boolean found = are(words);
        at += found ? words.split(" ").length : 0;
        return found;
    }

    void expect(String words) {
        for (String word : words.split(" ")) {
            if (!skip(word)) {
                throw unexpected("expected " + word);
            }
        }
    }

    boolean atEnd() {
        int rest = at;
        while (tokens.get(rest).getType() == SqlBaseLexer.SEMICOLON) {
            rest++;
        }
        return tokens.get(rest).getType() == Token.EOF;
    }

    void expectEnd() {
        if (!atEnd()) {
            throw unexpected("expected the end of the statement");
        }
    }

    /** Does a name begin `ahead` words from here, that none of `words` is? */
    boolean isNameAhead(int ahead, List<String> words) {
        return isPart(token(ahead)) && words.stream().noneMatch(word -> is(ahead, word));
    }

    private static boolean isPart(Token token) {
        return token.getType() == SqlBaseLexer.BACKQUOTED_IDENTIFIER
            || token.getType() != Token.EOF && token.getText().matches("\\w+");
    }

    /** One part of a name, without its backquotes. */
    String part(String what) {
        Token token = token(0);
        if (!isPart(token)) {
            throw unexpected("expected " + what);
        }
        at++;
        String text = token.getText();
        return token.getType() == SqlBaseLexer.BACKQUOTED_IDENTIFIER
            ? text.substring(1, text.length() - 1).replace("``", "`") : text;
    }

    /** A name of one to `most` parts. */
    List<String> name(String what, int most) {
        List<String> parts = new ArrayList<>(List.of(part(what)));
        while (is(0, ".")) {
            if (parts.size() == most) {
                throw unexpected(what + " has at most " + most + (most == 1 ? " part" : " parts"));
            }
            at++;
            parts.add(part(what));
        }
        if (is(0, "-") || is(0, "@")) {
            throw unexpected("a name with other than letters, digits and _ is written between backquotes");
        }
        return parts;
    }

    /** A string's value. */
    String string(String what) throws ParseException {
        int type = token(0).getType();
        if (type != SqlBaseLexer.STRING_LITERAL && type != SqlBaseLexer.DOUBLEQUOTED_STRING) {
            throw unexpected("expected " + what + ", a string");
        }
        Token token = token(0);
        at++;
        return String.valueOf(parser.parseExpression(token.getText()).eval(null));
    }

    /** Words up to one of `ends`, which is not read, in capitals and with one space between. */
    String phrase(String what, List<String> ends) {
        StringBuilder phrase = new StringBuilder();
        while (isNameAhead(0, ends)) {
            phrase.append(phrase.isEmpty() ? "" : " ").append(part(what).toUpperCase(Locale.ROOT));
        }
        if (phrase.isEmpty()) {
            throw unexpected("expected " + what);
        }
        return phrase.toString();
    }

    RuntimeException unexpected(String hint) {
        Token token = token(0);
        String near = token.getType() == Token.EOF ? "end of input" : "'" + token.getText() + "'";
        Origin origin = new Origin(Option.apply(token.getLine()), Option.apply(token.getCharPositionInLine()),
            Option.apply(token.getStartIndex()), Option.apply(token.getStopIndex()), Option.apply(sql), Option.empty(),
            Option.empty(), Option.empty(), Option.empty(), Option.empty());
        throw Failure.rethrow(new ParseException(Option.apply(sql), origin, "PARSE_SYNTAX_ERROR",
            Map$.MODULE$.from(CollectionConverters.asScala(java.util.Map.of("error", near, "hint", ": " + hint)))));
    }
}
