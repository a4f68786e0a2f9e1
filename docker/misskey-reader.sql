-- The role with which the tools read what Misskey's rows name, and that can do nothing else. It
-- sees the columns with keys and URLs of media, and no others: no passwords, no tokens, no notes.
--
--   docker compose exec -T db psql -U USER -d DATABASE -v password=SECRET \
--     < media-gateway/misskey-reader.sql
--
-- Run it again after Misskey was upgraded, should a tool say that a column is denied.

\set ON_ERROR_STOP on

SELECT 'CREATE ROLE misskey_media_reader'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'misskey_media_reader')
\gexec

ALTER ROLE misskey_media_reader
    LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION
    CONNECTION LIMIT 4 PASSWORD :'password';
ALTER ROLE misskey_media_reader SET default_transaction_read_only = on;

DO $$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT c.oid::regclass AS place, string_agg(quote_ident(a.attname), ', ') AS columns
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relkind IN ('r', 'p', 'v', 'm') AND pg_table_is_visible(c.oid)
        AND a.attnum > 0 AND NOT a.attisdropped
        AND (
            c.relname = 'drive_file' AND a.attname IN (
                'id', 'accessKey', 'thumbnailAccessKey', 'webpublicAccessKey', 'size', 'md5',
                'storedInternal')
            OR c.relname IN ('emoji', 'user', 'avatar_decoration', 'announcement', 'ad', 'meta')
            AND (a.attname IN ('id', 'url') OR a.attname LIKE '%Url')
        )
        GROUP BY c.oid
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM misskey_media_reader', granted.place);
        EXECUTE format('GRANT SELECT (%s) ON %s TO misskey_media_reader',
            granted.columns, granted.place);
    END LOOP;
END
$$;
