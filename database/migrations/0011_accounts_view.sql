-- Accounts as the auth service may see them, whoever keeps them.
-- depends: 0004_sign_in

-- migrate: apply

-- Supabase lets nobody of ours look into its schema but the owner of these tables.
create view medbot.accounts as
  select u.id, u.email::text as email, u.raw_user_meta_data ->> 'full_name' as full_name,
    u.created_at, u.updated_at
  from auth.users u
  where medbot.is_service('auth') or u.id = (select auth.uid());
revoke all on medbot.accounts from public;
grant select on medbot.accounts to medbot_app;

-- migrate: rollback
