-- As server-config/modules/database has it: the roles of the operator and the web, the database, and the groups of tenants and seeds. Every line may run twice.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'berth_tenants') THEN
    CREATE ROLE berth_tenants NOLOGIN;
    CREATE ROLE berth_seeds NOLOGIN;
    CREATE ROLE berth LOGIN CREATEDB CREATEROLE;
    CREATE ROLE berth_web LOGIN;
  END IF;
END
$$;
SELECT 'CREATE DATABASE berth OWNER berth' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'berth') \gexec
GRANT berth_tenants, berth_seeds TO berth WITH ADMIN OPTION;
REVOKE ALL ON DATABASE postgres, template1, berth FROM PUBLIC;
GRANT CONNECT ON DATABASE postgres, template1 TO berth;
GRANT CONNECT ON DATABASE berth TO berth_web;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
