{{- /* Values that do not go together: nothing is rendered, so nothing is changed. Each line says which, and what would do. */ -}}
{{- define "berth.checks" -}}
{{- $postgres := include "berth.postgres" . -}}
{{- $wrong := list -}}
{{- if and .Values.database.url .Values.database.existingSecret -}}
{{- $wrong = append $wrong "database.url and database.existingSecret both name the database: leave one of them out" -}}
{{- end -}}
{{- if and .Values.database.url (not (regexMatch "^postgres(ql)?://[^/@]+@[^/]+/.+" .Values.database.url)) -}}
{{- $wrong = append $wrong "database.url is not of the form postgres://USER:PASSWORD@HOST:PORT/NAME" -}}
{{- end -}}
{{- if and (gt (int (include "berth.replicas" .)) 1) (not $postgres) -}}
{{- $wrong = append $wrong "replicas: more than one needs Postgres: set database.existingSecret (or database.url), or replicas to 1" -}}
{{- end -}}
{{- if and $postgres (eq (toString .Values.persistence.enabled) "true") -}}
{{- $wrong = append $wrong "persistence.enabled is for SQLite, but there is Postgres: leave persistence.enabled or database out" -}}
{{- end -}}
{{- if and $postgres .Values.persistence.existingClaim -}}
{{- $wrong = append $wrong "persistence.existingClaim is for SQLite, but there is Postgres: leave one of them out" -}}
{{- end -}}
{{- if and .Values.persistence.existingClaim (eq (toString .Values.persistence.enabled) "false") -}}
{{- $wrong = append $wrong "persistence.existingClaim names a volume, but persistence.enabled is false: leave one of them out" -}}
{{- end -}}
{{- if and .Values.database.caSecret (not $postgres) -}}
{{- $wrong = append $wrong "database.caSecret is for Postgres: set database.existingSecret (or database.url), too, or leave it out" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- $wrong = append $wrong "ingress.enabled needs ingress.host, the name by which people open Berth" -}}
{{- end -}}
{{- if and (not .Values.ingress.enabled) .Values.ingress.host -}}
{{- $wrong = append $wrong "ingress.host is set, but ingress.enabled is not: set it to true, or leave the host out" -}}
{{- end -}}
{{- if and (or .Values.mail.passwordSecret .Values.mail.caSecret) (not (hasKey .Values.settings "smtp_url")) -}}
{{- $wrong = append $wrong "mail is for a mail server: name it with settings.smtp_url (and settings.smtp_from), or leave mail out" -}}
{{- end -}}
{{- if and (hasKey .Values.settings "smtp_url") (not (hasKey .Values.settings "public_url")) -}}
{{- $wrong = append $wrong "settings.smtp_url needs settings.public_url, the address by which people open Berth: mail leads there" -}}
{{- end -}}
{{- range list "listen" "data" "database" "database_connections" "kubeconfig" "identities" "sim" "nodes" "site" "secure" "trusted_proxies" "provider_secrets" "smtp_password_file" "smtp_ca_file" -}}
{{- if hasKey $.Values.settings . -}}
{{- $wrong = append $wrong (printf "settings.%s is set by the chart: leave it out, and use the chart's own value for it, if there is one" .) -}}
{{- end -}}
{{- end -}}
{{- if $wrong -}}
{{- fail (printf "these values do not go together:\n  - %s" (join "\n  - " $wrong)) -}}
{{- end -}}
{{- end }}
