//! How mail reads: plain text in the language of who gets it. Names and numbers alone, no words of people: what somebody wrote could pass
//! for Berth's own words.

use berth_types::{UserName, webhook::EventKind};
use jiff::{Timestamp, tz::TimeZone};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::who::Why;
use crate::{
    notices::{Data, Notice},
    ports::pages::Language::{self, En, ZhCn},
};

/// Characters of a subject.
const MAX_SUBJECT: usize = 120;

/// Subject and text: what stands sealed in the store until it is sent, as it may hold a link that is good once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// One line.
    pub subject: String,
    /// All of it.
    pub body: String,
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Text").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// The page where one chooses what one gets.
pub const SETTINGS: &str = "/account/mail";

/// An address of the portal.
#[must_use]
pub fn link(site: &str, path: &str) -> String {
    format!("{}{path}", site.trim_end_matches('/'))
}

/// Nothing that ends a line or steers: a subject is one.
fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_SUBJECT).collect()
}

fn written(subject: &str, paragraphs: &[String]) -> Text {
    let paragraphs: Vec<&str> = paragraphs.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
    Text { subject: one_line(&format!("[Berth] {subject}")), body: format!("{}\n", paragraphs.join("\n\n")) }
}

/// A time as all read it.
fn shown(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// The link by which somebody shows that an address is theirs.
#[must_use]
pub fn verify(l: Language, site: &str, (user, secret, until): (&UserName, &SecretString, Timestamp)) -> Text {
    let link = link(site, &format!("{SETTINGS}/confirm/{}", secret.expose_secret()));
    let until = shown(until);
    match l {
        En => written(
            "Confirm this address",
            &[
                format!(
                    "{user} wants to get mail from Berth ({site}) at this address. If that is you, open this link and sign in as {user}:"
                ),
                link,
                format!("The link is good once, until {until}."),
                "If it was not you, do nothing: without the link nothing is sent here.".to_owned(),
            ],
        ),
        ZhCn => written(
            "确认此邮箱地址",
            &[
                format!(
                    "{user} 希望用此地址接收 Berth（{site}）的邮件。如果是您本人，请打开以下链接并以 {user} 登录："
                ),
                link,
                format!("链接只能使用一次，有效期至 {until}。"),
                "如果不是您本人，无需任何操作：不打开链接就不会再向此地址发送邮件。".to_owned(),
            ],
        ),
    }
}

/// To the address that was another's until now: `new` is it, veiled; none: there is none any more.
#[must_use]
pub fn moved(l: Language, site: &str, user: &UserName, new: Option<&str>) -> Text {
    let account = link(site, "/account");
    match l {
        En => written(
            "Your mail goes elsewhere",
            &[
                match new {
                    Some(new) => {
                        format!("Mail for {user} from Berth ({site}) goes to {new} from now on, and no longer here.")
                    }
                    None => format!("{user} gets no more mail from Berth ({site}): the address was removed."),
                },
                "If it was not you, change your password, look at your sessions, and tell a platform admin:".to_owned(),
                account,
            ],
        ),
        ZhCn => written(
            "您的邮件改发至其他地址",
            &[
                match new {
                    Some(new) => format!("从现在起，Berth（{site}）发给 {user} 的邮件将寄往 {new}，不再发送到此地址。"),
                    None => format!("{user} 的邮箱地址已被移除，Berth（{site}）不再发送邮件。"),
                },
                "如果不是您本人操作，请立即修改密码、检查登录会话，并告知平台管理员：".to_owned(),
                account,
            ],
        ),
    }
}

/// The link to a new password.
#[must_use]
pub fn reset(
    l: Language,
    site: &str,
    (user, secret, until): (&UserName, &SecretString, Timestamp),
    network: &str,
) -> Text {
    let link = link(site, &format!("/reset/{}", secret.expose_secret()));
    let until = shown(until);
    match l {
        En => written(
            "A new password",
            &[
                format!(
                    "Somebody, from {network}, says that the password of {user} on Berth ({site}) is forgotten. By this link you choose a new one:"
                ),
                link,
                format!(
                    "It is good once, until {until}. You are asked for your second factor afterwards, if you have one."
                ),
                "If it was not you, do nothing: your password stays as it is.".to_owned(),
            ],
        ),
        ZhCn => written(
            "设置新密码",
            &[
                format!(
                    "有人（来自 {network}）表示忘记了 {user} 在 Berth（{site}）上的密码。请通过以下链接设置新密码："
                ),
                link,
                format!("链接只能使用一次，有效期至 {until}。如果您启用了第二验证因素，登录时仍会要求验证。"),
                "如果不是您本人，无需任何操作：密码不会改变。".to_owned(),
            ],
        ),
    }
}

/// An invitation, to an address that somebody typed: into the tenant of that name, or onto the platform.
#[must_use]
pub fn invitation(
    l: Language,
    site: &str,
    (by, tenant): (&str, Option<&str>),
    (secret, until): (&SecretString, Timestamp),
) -> Text {
    let link = link(site, &format!("/join/{}", secret.expose_secret()));
    let until = shown(until);
    match l {
        En => written(
            &tenant.map_or_else(|| "An invitation".to_owned(), |tenant| format!("An invitation to {tenant}")),
            &[
                match tenant {
                    Some(tenant) => format!("{by} invites you to join {tenant} on Berth ({site}):"),
                    None => format!("{by} invites you to Berth ({site}):"),
                },
                link,
                format!("The link is good once, until {until}, for whoever opens it: do not pass it on."),
                format!("Berth sent this as {by} typed your address. If you do not know them, do nothing."),
            ],
        ),
        ZhCn => written(
            &tenant.map_or_else(|| "邀请".to_owned(), |tenant| format!("邀请您加入 {tenant}")),
            &[
                match tenant {
                    Some(tenant) => format!("{by} 邀请您加入 Berth（{site}）上的 {tenant}："),
                    None => format!("{by} 邀请您使用 Berth（{site}）："),
                },
                link,
                format!("链接只能使用一次，有效期至 {until}；任何人打开都有效，请勿转发。"),
                format!("{by} 填写了您的地址，因此 Berth 发送了此邮件。如果您不认识对方，无需任何操作。"),
            ],
        ),
    }
}

/// That mail works.
#[must_use]
pub fn test(l: Language, site: &str, user: &UserName) -> Text {
    match l {
        En => written("A test", &[format!("Mail from Berth ({site}) arrives. {user} wanted to know.")]),
        ZhCn => written("测试邮件", &[format!("Berth（{site}）的邮件可以送达。此测试由 {user} 发起。")]),
    }
}

fn reason(l: Language, why: Why) -> &'static str {
    match (l, why) {
        (En, Why::Platform) => "you are an admin of the platform",
        (En, Why::Asked) => "you asked for it",
        (En, Why::Quota) => "you share out this tenant's quota",
        (En, Why::Roles) => "you decide about roles in this tenant",
        (En, Why::Member) => "you are a member of this tenant",
        (En, Why::Account) => "it is about your account, which cannot be switched off",
        (ZhCn, Why::Platform) => "您是平台管理员",
        (ZhCn, Why::Asked) => "这是您提出的申请",
        (ZhCn, Why::Quota) => "您负责分配此租户的配额",
        (ZhCn, Why::Roles) => "您负责审批此租户的角色",
        (ZhCn, Why::Member) => "您是此租户的成员",
        (ZhCn, Why::Account) => "它与您的账号有关，无法关闭",
    }
}

/// A notice's subject and sentence.
fn told(l: Language, kind: EventKind, data: &Data) -> (String, String) {
    let tenant = data.tenant.as_ref().map(ToString::to_string).unwrap_or_default();
    let place = match &data.namespace {
        Some(namespace) => format!("{tenant}/{namespace}"),
        None => tenant.clone(),
    };
    let (user, by) = (data.user.as_deref().unwrap_or("?"), data.by.as_deref().unwrap_or("?"));
    let role = data.role.as_ref().map(ToString::to_string).unwrap_or_default();
    let network = data.network.as_deref().unwrap_or("?");
    let yes = data.outcome.as_deref() == Some("approved");
    let used: Vec<String> = data.used.iter().flatten().map(|one| format!("{} {} %", one.key, one.percent)).collect();
    let used = used.join(", ");
    let (subject, text) = match (l, kind) {
        (En, EventKind::RequestWaiting) => (
            format!("{tenant}: a quota request waits"),
            format!("{user} asks for another quota for {tenant}, and no rule decides it."),
        ),
        (ZhCn, EventKind::RequestWaiting) => {
            (format!("{tenant}：配额申请待处理"), format!("{user} 为 {tenant} 申请调整配额，需要管理员决定。"))
        }
        (En, EventKind::RequestOffered) => (
            format!("{tenant}: an offer for your quota request"),
            format!("{by} offers something else than you asked for. You can take it or withdraw the request."),
        ),
        (ZhCn, EventKind::RequestOffered) => (
            format!("{tenant}：您的配额申请有新方案"),
            format!("{by} 提出了与您申请不同的方案，您可以接受或撤回申请。"),
        ),
        (En, EventKind::RequestDecided) if yes => (
            format!("{tenant}: your quota request is approved"),
            format!("{by} approved your quota request for {tenant}."),
        ),
        (En, EventKind::RequestDecided) => (
            format!("{tenant}: your quota request is refused"),
            format!("{by} refused your quota request for {tenant}; the request says why."),
        ),
        (ZhCn, EventKind::RequestDecided) if yes => {
            (format!("{tenant}：配额申请已批准"), format!("{by} 批准了您为 {tenant} 提出的配额申请。"))
        }
        (ZhCn, EventKind::RequestDecided) => {
            (format!("{tenant}：配额申请被拒绝"), format!("{by} 拒绝了您为 {tenant} 提出的配额申请，原因见申请页面。"))
        }
        (En, EventKind::RequestWithdrawn) => (
            format!("{tenant}: a quota request was withdrawn"),
            format!("{user} withdrew a quota request for {tenant}."),
        ),
        (ZhCn, EventKind::RequestWithdrawn) => {
            (format!("{tenant}：配额申请已撤回"), format!("{user} 撤回了 {tenant} 的配额申请。"))
        }
        (En, EventKind::LoanEndsSoon) => (
            format!("{tenant}: a loan ends within three days"),
            format!("What {tenant} was lent of quota ends within 72 hours. Shrink what uses it, or ask for more."),
        ),
        (ZhCn, EventKind::LoanEndsSoon) => (
            format!("{tenant}：借用配额三天内到期"),
            format!("{tenant} 借用的配额将在 72 小时内到期。请缩减使用量，或申请更多配额。"),
        ),
        (En, EventKind::LoanEndsTomorrow) => (
            format!("{tenant}: a loan ends within a day"),
            format!("What {tenant} was lent of quota ends within 24 hours. Shrink what uses it, or ask for more."),
        ),
        (ZhCn, EventKind::LoanEndsTomorrow) => (
            format!("{tenant}：借用配额一天内到期"),
            format!("{tenant} 借用的配额将在 24 小时内到期。请缩减使用量，或申请更多配额。"),
        ),
        (En, EventKind::LoanOverdue) => (
            format!("{tenant}: a loan is overdue"),
            format!(
                "A loan of {tenant} has ended, and part of it is still in use. It is taken back as it becomes free."
            ),
        ),
        (ZhCn, EventKind::LoanOverdue) => {
            (format!("{tenant}：借用配额已逾期"), format!("{tenant} 的借用已到期，但仍有部分在使用，空出后将被收回。"))
        }
        (En, EventKind::LoanEnded) => {
            (format!("{tenant}: a loan has ended"), format!("All of a loan of {tenant} is given back."))
        }
        (ZhCn, EventKind::LoanEnded) => (format!("{tenant}：借用已结束"), format!("{tenant} 的借用配额已全部归还。")),
        (En, EventKind::QuotaHigh) => (
            format!("{place}: the quota is nearly used up"),
            format!("{place} holds 90 % of its quota or more ({used}). What needs more than is left will not start."),
        ),
        (ZhCn, EventKind::QuotaHigh) => (
            format!("{place}：配额即将用尽"),
            format!("{place} 的配额使用率已达 90 % 以上（{used}）。超出剩余额度的部署将无法启动。"),
        ),
        (En, EventKind::AccessWaiting) => {
            (format!("{place}: {user} asks for a role"), format!("{user} asks for the role {role} in {place}."))
        }
        (ZhCn, EventKind::AccessWaiting) => {
            (format!("{place}：{user} 申请角色"), format!("{user} 申请 {place} 的角色 {role}。"))
        }
        (En, EventKind::AccessDecided) if yes => {
            (format!("{place}: you have the role {role}"), format!("{by} gave you the role {role} in {place}."))
        }
        (En, EventKind::AccessDecided) => (
            format!("{place}: you do not get the role {role}"),
            format!("{by} declined your request for the role {role} in {place}."),
        ),
        (ZhCn, EventKind::AccessDecided) if yes => {
            (format!("{place}：已获得角色 {role}"), format!("{by} 授予了您 {place} 的角色 {role}。"))
        }
        (ZhCn, EventKind::AccessDecided) => {
            (format!("{place}：角色 {role} 未获批准"), format!("{by} 未批准您对 {place} 角色 {role} 的申请。"))
        }
        (En, EventKind::TenantSuspended) => (
            format!("{tenant} is suspended"),
            format!("{by} suspended {tenant}: its apps are scaled to zero until it is resumed."),
        ),
        (ZhCn, EventKind::TenantSuspended) => {
            (format!("{tenant} 已被暂停"), format!("{by} 暂停了 {tenant}：恢复之前，其应用均缩容为零。"))
        }
        (En, EventKind::TenantRemovalBegun) => (
            format!("{tenant} is being removed"),
            format!("{by} removed {tenant}. For a while that can be taken back; then all that is in it is deleted."),
        ),
        (ZhCn, EventKind::TenantRemovalBegun) => (
            format!("{tenant} 正在被删除"),
            format!("{by} 删除了 {tenant}。在宽限期内可以撤销，之后其中所有内容都会被删除。"),
        ),
        (En, EventKind::PasswordForgotten) => (
            format!("{user} forgot their password"),
            format!(
                "{user} says, from {network}, that their password is forgotten, and Berth sends them no link by itself. Make sure who it is, then make one for them."
            ),
        ),
        (ZhCn, EventKind::PasswordForgotten) => (
            format!("{user} 忘记了密码"),
            format!(
                "{user}（来自 {network}）表示忘记了密码，Berth 不会自动向其发送链接。请核实身份后为其生成重置链接。"
            ),
        ),
        (En, EventKind::PasswordChanged) => (
            "Your password was changed".to_owned(),
            format!(
                "The password of {user} was changed, and all sessions ended. If it was not you, tell a platform admin at once."
            ),
        ),
        (ZhCn, EventKind::PasswordChanged) => (
            "您的密码已更改".to_owned(),
            format!("{user} 的密码已更改，所有会话均已结束。如果不是您本人操作，请立即告知平台管理员。"),
        ),
        (En, EventKind::SecondFactorAdded) => (
            "Another second factor for your account".to_owned(),
            format!(
                "The account {user} has one more second factor: an authenticator app, or a passkey, which opens it without a password, too. If it was not you, remove it, change your password, and tell a platform admin at once."
            ),
        ),
        (ZhCn, EventKind::SecondFactorAdded) => (
            "您的账号新增了第二验证因素".to_owned(),
            format!(
                "账号 {user} 新增了一个第二验证因素：身份验证器应用，或者通行密钥（无需密码也可以登录）。如果不是您本人操作，请将其移除、修改密码，并立即告知平台管理员。"
            ),
        ),
        (En, EventKind::SecondFactorRemoved) => (
            "A second factor was removed from your account".to_owned(),
            format!(
                "A second factor of {user}, or all of them, was removed, and other sessions ended. If it was not you, and you did not ask for it, tell a platform admin at once."
            ),
        ),
        (ZhCn, EventKind::SecondFactorRemoved) => (
            "您账号的第二验证因素已被移除".to_owned(),
            format!(
                "{user} 的一个或全部第二验证因素已被移除，其他会话均已结束。如果既不是您本人操作，也不是您要求的，请立即告知平台管理员。"
            ),
        ),
        (En, EventKind::ProviderConnected) => (
            "Another way into your account".to_owned(),
            format!(
                "An identity provider opens the account {user} from now on. If it was not you, disconnect it and change your password."
            ),
        ),
        (ZhCn, EventKind::ProviderConnected) => (
            "您的账号新增了登录方式".to_owned(),
            format!("从现在起可以通过身份提供方登录账号 {user}。如果不是您本人操作，请断开连接并修改密码。"),
        ),
        (En, EventKind::Test) => ("A test".to_owned(), "Berth's notices arrive.".to_owned()),
        (ZhCn, EventKind::Test) => ("测试".to_owned(), "Berth 的通知可以送达。".to_owned()),
    };
    (subject, text)
}

/// A notice, with why they get it; `dropped` others were left out before it.
#[must_use]
pub fn notice(l: Language, site: &str, notice: &Notice, why: Why, dropped: i64) -> Text {
    let (subject, text) = told(l, notice.event, &notice.data);
    let path = match why {
        // Who it is about cannot open the admin console's page of them.
        Why::Account => "/account".to_owned(),
        _ => notice.path(),
    };
    let link_there = link(site, &path);
    let (reason, settings) = (reason(l, why), link(site, SETTINGS));
    let left_out = match (l, dropped) {
        (_, ..=0) => String::new(),
        (En, n) => {
            format!("{n} more notices were not sent to you, as there were too many within an hour: see the portal.")
        }
        (ZhCn, n) => format!("由于一小时内通知过多，另有 {n} 条未发送给您，请在门户中查看。"),
    };
    let foot = match l {
        En => format!("-- \nYou get this because {reason}.\nWhat you are told of, you choose here: {settings}"),
        ZhCn => format!("-- \n您收到此邮件是因为{reason}。\n在此选择接收哪些通知：{settings}"),
    };
    written(&subject, &[text, link_there, left_out, foot])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::{BEGIN, at};

    const SITE: &str = "https://berth.example.com/";

    fn about(event: EventKind) -> Notice {
        let data = Data {
            tenant: Some("shop".parse().unwrap()),
            user: Some("ann".to_owned()),
            by: Some("root".to_owned()),
            role: Some(berth_types::TenantRole::Viewer),
            ..Data::default()
        };
        Notice { event, at: at(BEGIN), data }
    }

    #[test]
    fn a_mail_says_what_where_and_why() {
        let mail = notice(En, SITE, &about(EventKind::LoanEndsSoon), Why::Quota, 0);
        assert_eq!(mail.subject, "[Berth] shop: a loan ends within three days");
        let want = "What shop was lent of quota ends within 72 hours. Shrink what uses it, or ask for more.\n\n\
                    https://berth.example.com/t/shop\n\n\
                    -- \nYou get this because you share out this tenant's quota.\n\
                    What you are told of, you choose here: https://berth.example.com/account/mail\n";
        assert_eq!(mail.body, want);
        assert!(notice(En, SITE, &about(EventKind::QuotaHigh), Why::Quota, 3).body.contains("3 more notices"));
        assert!(notice(ZhCn, SITE, &about(EventKind::QuotaHigh), Why::Quota, 3).body.contains("另有 3 条"));
    }

    /// None is forgotten in either language, and none says the same as another.
    #[test]
    fn each_kind_reads_in_each_language() {
        for l in [En, ZhCn] {
            let all: Vec<Text> =
                EventKind::ALL.iter().map(|kind| notice(l, SITE, &about(*kind), Why::Member, 0)).collect();
            for (i, one) in all.iter().enumerate() {
                assert!(
                    one.subject.starts_with("[Berth] ") && one.body.contains("https://berth.example.com/"),
                    "{one:?}"
                );
                assert!(!one.body.contains("  "), "{}", one.body);
                assert!(all[..i].iter().all(|other| other.subject != one.subject), "{one:?}");
            }
        }
    }

    #[test]
    fn links_lead_to_pages_and_nothing_breaks_a_subject() {
        let (ann, until): (UserName, _) = ("ann".parse().unwrap(), at("2026-11-21T08:00:00Z"));
        let secret = SecretString::from("s3cret");
        let mail = verify(En, SITE, (&ann, &secret, until));
        assert!(mail.body.contains("https://berth.example.com/account/mail/confirm/s3cret\n"), "{}", mail.body);
        assert!(mail.body.contains("2026-11-21 08:00 UTC"), "{}", mail.body);
        assert!(!format!("{mail:?}").contains("s3cret"));
        assert!(reset(ZhCn, SITE, (&ann, &secret, until), "192.0.2.1").body.contains("/reset/s3cret\n"));
        let evil = "Shop\r\nBcc: all@example.com\r\n\r\nhello";
        let mail = invitation(En, SITE, ("bob", Some(evil)), (&secret, until));
        assert_eq!(mail.subject, "[Berth] An invitation to Shop Bcc: all@example.com hello");
        assert!(one_line(&"x".repeat(500)).len() == MAX_SUBJECT);
    }
}
