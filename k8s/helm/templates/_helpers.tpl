{{- define "doorward.labels" -}}
app.kubernetes.io/name: doorward
app.kubernetes.io/part-of: doorward
{{- end }}

{{- define "doorward.serverLabels" -}}
{{ include "doorward.labels" . }}
app.kubernetes.io/component: server
{{- end }}

{{- define "doorward.serverSelector" -}}
app.kubernetes.io/name: doorward
app.kubernetes.io/component: server
{{- end }}

{{- define "doorward.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- define "doorward.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "doorward.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "doorward.mounts" -}}
- name: secrets
  mountPath: /run/secrets/doorward
  readOnly: true
{{- end }}

{{- define "doorward.volumes" -}}
- name: secrets
  secret:
    secretName: {{ .Values.secretName }}
    defaultMode: 288
{{- end }}
