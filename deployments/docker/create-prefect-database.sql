-- The second database of the cluster; Prefect needs trigrams for its own searches.
create database prefect;
\connect prefect
create extension if not exists pg_trgm;
