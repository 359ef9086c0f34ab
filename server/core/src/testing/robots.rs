//! Robots of a [`FakeStore`].

use async_trait::async_trait;
use berth_types::{
    TenantRole, UserName,
    people::{Robot, User},
};
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    FakeStore,
    store::{Membership, Rows as AllRows, taken},
};
use crate::{
    authz::{Grant, TenantRef},
    error::{Error, Result},
    ports::{
        robots::{NewRobot, RobotChange, Robots},
        store::Account,
    },
};

pub(super) struct Kept {
    pub(super) tenant: Uuid,
    new: NewRobot,
}

impl Kept {
    pub(super) fn replace_role(&mut self, gone: TenantRole, role: TenantRole) {
        if self.new.role == gone {
            self.new.role = role;
        }
    }

    pub(super) fn id(&self) -> Uuid {
        self.new.id
    }

    pub(super) fn namespace(&self) -> Option<Uuid> {
        self.new.namespace.as_ref().map(|namespace| namespace.id)
    }
}

impl AllRows {
    /// Those that go with something, with all that is theirs.
    pub(super) fn forget_robots(&mut self, gone: impl Fn(&Kept) -> bool) {
        let ids: Vec<Uuid> = self.robots.iter().filter(|robot| gone(robot)).map(|robot| robot.new.id).collect();
        self.robots.retain(|robot| !ids.contains(&robot.new.id));
        self.ci.forget(&ids);
        self.accounts.retain(|account| !ids.contains(&account.user.id));
        self.tokens.retain(|(token, _)| !ids.contains(&token.user));
        self.members.retain(|member| !ids.contains(&member.user));
        self.given.retain(|(_, user, ..)| !ids.contains(user));
    }
}

#[async_trait]
impl Robots for FakeStore {
    async fn create_robot(&self, grant: &Grant<TenantRef>, robot: &NewRobot) -> Result<()> {
        let mut rows = self.rows()?;
        rows.tenant(grant.id)?;
        rows.giving(grant.id, robot.role)?;
        let name = UserName::robot(&grant.name, &robot.name);
        if rows.accounts.iter().any(|account| account.user.name == name) {
            return Err(taken("name", format!("a robot called “{}” exists already", robot.name)));
        }
        let user = User {
            id: robot.id,
            name,
            display_name: robot.description.clone(),
            platform_role: None,
            disabled: false,
            must_change_password: false,
            second_factor: false,
            created_at: robot.created_at,
        };
        rows.accounts.push(Account { user, password_hash: None });
        match &robot.namespace {
            Some(namespace) => rows.given.push((namespace.id, robot.id, robot.role, robot.created_at)),
            None => rows.members.push(Membership {
                tenant: grant.id,
                user: robot.id,
                role: robot.role,
                since: robot.created_at,
                provider: None,
            }),
        }
        rows.robots.push(Kept { tenant: grant.id, new: robot.clone() });
        Ok(())
    }

    async fn list_robots(&self, grant: &Grant<TenantRef>, now: Timestamp) -> Result<Vec<Robot>> {
        let rows = self.rows()?;
        let mut robots: Vec<Robot> = rows
            .robots
            .iter()
            .filter(|robot| robot.tenant == grant.id)
            .filter_map(|robot| {
                let user = &rows.account(robot.new.id)?.user;
                let theirs = || rows.tokens.iter().filter(|(token, _)| token.user == user.id && token.expires_at > now);
                Some(Robot {
                    id: user.id,
                    name: robot.new.name.clone(),
                    user: user.name.clone(),
                    description: user.display_name.clone(),
                    role: robot.new.role,
                    namespace: robot.new.namespace.as_ref().map(|namespace| namespace.name.clone()),
                    disabled: user.disabled,
                    tokens: theirs()
                        .filter(|(token, _)| !rows.ci.given.contains_key(&token.id))
                        .count()
                        .try_into()
                        .unwrap_or(i64::MAX),
                    last_used_at: theirs().filter_map(|(_, used)| *used).max(),
                    created_at: user.created_at,
                })
            })
            .collect();
        robots.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(robots)
    }

    async fn update_robot(&self, grant: &Grant<TenantRef>, id: Uuid, change: &RobotChange) -> Result<()> {
        let mut rows = self.rows()?;
        rows.giving(grant.id, change.role)?;
        let theirs = |robot: &&mut Kept| robot.tenant == grant.id && robot.new.id == id;
        rows.robots.iter_mut().find(theirs).ok_or_else(Error::not_found)?.new.role = change.role;
        for member in rows.members.iter_mut().filter(|member| member.user == id) {
            member.role = change.role;
        }
        for given in rows.given.iter_mut().filter(|(_, user, ..)| *user == id) {
            given.2 = change.role;
        }
        let user = &mut rows.account_mut(id)?.user;
        user.display_name.clone_from(&change.description);
        user.disabled = change.disabled;
        Ok(())
    }

    async fn delete_robot(&self, grant: &Grant<TenantRef>, id: Uuid) -> Result<()> {
        let mut rows = self.rows()?;
        let had = rows.robots.len();
        rows.forget_robots(|robot| robot.tenant == grant.id && robot.new.id == id);
        if rows.robots.len() == had { Err(Error::not_found()) } else { Ok(()) }
    }
}
