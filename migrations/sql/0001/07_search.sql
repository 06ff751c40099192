-- Behind row-level security an operator that is not leakproof is kept from the indexes: 81 ms instead of 2 for a search
-- over 200,000 rows. ILIKE and @> tell nothing about the rows that they compare, so they are marked where that is
-- allowed; elsewhere searches stay correct and slower.

DO $$
BEGIN
    ALTER FUNCTION pg_catalog.texticlike(text, text) LEAKPROOF;
    ALTER FUNCTION pg_catalog.arraycontains(anyarray, anyarray) LEAKPROOF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'only a superuser may mark functions leakproof: searches by text and tags will not use their indexes';
END
$$;
